"""What `svcmock record` says where it cannot begin."""

from pathlib import Path

import pytest

from svcmock.commands.record import record

NOBODY: frozenset[str] = frozenset()


@pytest.mark.usefixtures("clean_logging")
@pytest.mark.parametrize(
    ("graph", "only", "code", "told"),
    [
        (None, NOBODY, 1, "no project: there is no svcmock.yaml"),
        ("{a: {listen: 0, upstrem: x}}", NOBODY, 1, "svcmock.yaml:2:27: unknown key `upstrem`"),
        ("{a: {listen: 0}}", frozenset({"a"}), 4, "a"),
        ("{a: {listen: 0, upstream: 'http://127.0.0.1:9'}}", frozenset({"b"}), 4, "b"),
    ],
)
def test_what_keeps_it_from_beginning(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    graph: str | None,
    only: frozenset[str],
    code: int,
    told: str,
) -> None:
    """No service of that name, none with an upstream, no project: said, and nothing is recorded."""
    if graph is not None:
        (tmp_path / "svcmock.yaml").write_text(f"version: 1\nservices: {graph}\n")
    assert record(tmp_path, [], only, "text", "error") == code
    assert told in capsys.readouterr().err
    assert not (tmp_path / "recordings").exists()
