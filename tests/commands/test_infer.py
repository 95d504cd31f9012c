"""`svcmock infer`: proposals for tapes, and the exchanges that they were."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from svcmock.cli import main
from svcmock.commands import OK, PROBLEMS, USAGE

GRAPH = """\
version: 1
services:
  device: {listen: 0, protocol: tcp, routes: recordings/device/}
  shop: {listen: 0, protocol: http, routes: routes/shop/}
"""


def frame(text: bytes) -> str:
    return (len(text).to_bytes(4) + text).hex()


def tape(name: str, *words: tuple[bytes, bytes]) -> list[Any]:
    return [
        {
            "request": {"tape": {"of": name, "run": number, "said": {"hex": frame(asked)}}},
            "respond": {"tape": {"said": {"hex": frame(told)}}},
        }
        for number, (asked, told) in enumerate(words, 1)
    ]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder in ("recordings/device", "routes/shop"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "svcmock.yaml").write_text(GRAPH)
    (tmp_path / "routes/shop/a.yaml").write_text("request: {path: /}\nrespond: {status: 200}\n")
    docs = [
        *tape("one", (b"hello", b"olleh"), (b"a longer message", b"no")),
        *tape("two", (b"x" * 300, b"yes")),
    ]
    (tmp_path / "recordings/device/a.yaml").write_text("".join(f"---\n{yaml.safe_dump(doc)}" for doc in docs))
    return tmp_path


def infer(project: Path, *words: str) -> int:
    return main(["infer", *words, "-p", str(project)])


def test_what_fits_all_tapes_is_proposed_best_first(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert infer(project, "device", "--json") == OK
    first, *_ = json.loads(capsys.readouterr().out)
    assert first["options"] == {"framing": {"length": {"width": 4}}}
    assert first["why"] == "3 frames of clients, 3 of the server; every run ends with a frame"
    assert infer(project, "device") == OK
    printed = capsys.readouterr().out
    assert printed.startswith("1. 3 frames of clients")
    assert "\n    options: {framing: {length: {width: 4}}}\n" in printed


def test_tapes_are_told_again_as_exchanges(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert infer(project, "device", "--write", "1") == OK
    printed = capsys.readouterr().out
    written = list(yaml.safe_load_all((project / "recordings/device-inferred/inferred.yaml").read_text()))
    assert [(doc["request"], doc["respond"]) for doc in written if doc] == [
        ({"text": "hello"}, {"text": "olleh"}),
        ({"text": "a longer message"}, {"text": "no"}),
        ({"text": "x" * 300}, {"text": "yes"}),
    ]
    options = "\n".join(line for line in printed.splitlines() if line.startswith("    "))
    changed = {"listen": 0, "protocol": "tcp", **yaml.safe_load(options)}
    (project / "svcmock.yaml").write_text(yaml.safe_dump({"version": 1, "services": {"device": changed}}))
    assert main(["check", str(project)]) == OK
    assert infer(project, "device", "--write", "1") == USAGE  # it has its framing now


def test_what_was_told_again_is_not_overwritten(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert infer(project, "device", "--write", "1") == OK
    assert infer(project, "device", "--write", "1") == PROBLEMS
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["nobody"], USAGE, "has no service nobody; it has device, shop"),
        (["shop"], USAGE, "shop: there is nothing to infer in protocol http"),
        (["device", "--write", "99"], USAGE, "device: there is no proposal 99, but "),
        (["device", "--write", "0"], USAGE, "device: there is no proposal 0, but "),
    ],
)
def test_what_cannot_be_inferred_is_told(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, told: str
) -> None:
    assert infer(project, *words) == code
    assert told in capsys.readouterr().err


def test_nothing_may_fit(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = tape("odd", (b"x", b"y"))
    odd[0]["request"]["tape"]["said"] = {"hex": "00ffff"}
    (project / "recordings/device/a.yaml").write_text(yaml.safe_dump(odd[0]))
    assert infer(project, "device") == PROBLEMS
    assert "nothing fits all that was recorded" in capsys.readouterr().err


def test_a_graph_that_is_wrong(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "svcmock.yaml").write_text("version: 2\n")
    assert infer(project, "device") == PROBLEMS
    assert "svcmock.yaml" in capsys.readouterr().err
