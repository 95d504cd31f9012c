"""What recorded connections share: facts about the server are kept, with those of earlier runs."""

import json
from pathlib import Path

import msgspec
import pytest

from svcmock.net.recorder import Recorder
from svcmock.net.spool import Spools
from svcmock.net.upstream import Connector
from svcmock.protocol import FACTS
from svcmock_protocols.http import plugin
from tests.routes import CONTEXT, SERVICE


def recorder(root: Path) -> Recorder:
    service = msgspec.structs.replace(SERVICE, upstream="http://127.0.0.1:1")
    connector = Connector(service, plugin)
    return Recorder(
        "shop", plugin, lambda: CONTEXT, connector, root / "rec", "r.yaml", lambda: Spools(root / "sp")
    )


def kept(root: Path) -> object:
    return json.loads((root / "rec" / FACTS).read_text())


def test_facts_are_kept_as_they_are_learned(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    made.learn("version", "16.1")
    assert kept(tmp_path) == {"version": "16.1"}
    made.learn("encoding", ["UTF8", None, 1])
    made.learn("version", "16.2")
    assert kept(tmp_path) == {"version": "16.2", "encoding": ["UTF8", None, 1]}
    assert (tmp_path / "rec" / FACTS).stat().st_mode & 0o077 == 0


def test_facts_of_earlier_runs_stay(tmp_path: Path) -> None:
    recorder(tmp_path).learn("version", "16.1")
    recorder(tmp_path).learn("zone", "UTC")
    assert kept(tmp_path) == {"version": "16.1", "zone": "UTC"}


@pytest.mark.parametrize("before", [b"", b"no JSON", b"[1]", b"\xff"])
def test_a_file_that_is_none_is_written_anew(tmp_path: Path, before: bytes) -> None:
    (tmp_path / "rec").mkdir()
    (tmp_path / "rec" / FACTS).write_bytes(before)
    recorder(tmp_path).learn("version", "16.1")
    assert kept(tmp_path) == {"version": "16.1"}


def test_the_same_fact_again_touches_nothing(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    made.learn("version", "16.1")
    (tmp_path / "rec" / FACTS).unlink()
    made.learn("version", "16.1")
    assert not (tmp_path / "rec" / FACTS).exists()


def test_facts_that_cannot_be_kept_end_nothing(tmp_path: Path) -> None:
    (tmp_path / "rec").write_text("a file where the folder should be")
    recorder(tmp_path).learn("version", "16.1")
    assert (tmp_path / "rec").is_file()
