import asyncio
import json
import logging
import os
import pty
import re
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog

from svcmock.log import MAX_LINE, configure

pytestmark = pytest.mark.usefixtures("clean_logging")


class Unprintable:
    def __repr__(self) -> str:
        raise ValueError("no")


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_json_line_has_time_level_and_event_first_and_what_was_bound(tmp_path: Path) -> None:
    sink = configure("json", "info", tmp_path / "log")
    structlog.get_logger().bind(service="catalog", connection=7).info("answered", took=0.25, route=None)
    sink.close()
    (line,) = lines(tmp_path / "log")
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", str(line.pop("timestamp")))
    assert line == {
        "level": "info",
        "event": "answered",
        "service": "catalog",
        "connection": 7,
        "took": 0.25,
        "route": None,
    }


def test_the_log_file_is_its_owners_only_and_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('{"event": "earlier"}\n')
    path.chmod(0o600)
    sink = configure("auto", "info", path)
    structlog.get_logger().info("later")
    sink.close()
    assert [line["event"] for line in lines(path)] == ["earlier", "later"]
    fresh = configure("json", "info", tmp_path / "fresh")
    fresh.close()
    assert (tmp_path / "fresh").stat().st_mode & 0o777 == 0o600


def test_the_level_holds(tmp_path: Path) -> None:
    sink = configure("json", "warning", tmp_path / "log")
    log = structlog.get_logger()
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    sink.close()
    assert [line["event"] for line in lines(tmp_path / "log")] == ["c", "d"]


def test_text_cannot_be_forged_by_what_a_peer_sends(tmp_path: Path) -> None:
    sink = configure("text", "info", tmp_path / "log")
    structlog.get_logger().info(
        "miss\x1b[2J", path="/a\r\n2026 [error] forged", more="\u2028\x9b31m\udc80", odd=b"\n"
    )
    sink.close()
    text = (tmp_path / "log").read_text()
    assert text.count("\n") == 1
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028]", text)
    assert "miss\\x1b[2J" in text
    assert "forged" in text


def test_text_is_coloured_on_a_terminal_and_auto_chooses_it_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    ours, theirs = pty.openpty()
    kept = os.dup(2)
    try:
        os.dup2(theirs, 2)
        configure("auto")
        structlog.get_logger().info("on a terminal")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(theirs)
    shown = os.read(ours, 4096)
    os.close(ours)
    assert b"on a terminal" in shown
    assert b"\x1b[" in shown
    assert not shown.startswith(b"{")


def test_a_traceback_is_part_of_its_line(tmp_path: Path) -> None:
    sink = configure("json", "info", tmp_path / "log")
    try:
        int("broken")
    except ValueError:
        structlog.get_logger().exception("failed")
    sink.close()
    (line,) = lines(tmp_path / "log")
    assert line["level"] == "error"
    assert str(line["exception"]).endswith("ValueError: invalid literal for int() with base 10: 'broken'")


@pytest.mark.parametrize(
    "value", ["\udc80", {1: "\udc80"}, object(), b"\xff", {"a", "b"}, 10**400, float("nan")]
)
def test_any_value_can_be_logged(tmp_path: Path, value: object) -> None:
    for style in ("json", "text"):
        sink = configure(style, "info", tmp_path / style)  # type: ignore[arg-type]
        structlog.get_logger().info("odd", value=value)
        sink.close()
        assert b"odd" in (tmp_path / style).read_bytes()
    assert lines(tmp_path / "json")[0]["level"] == "info"


@pytest.mark.parametrize("style", ["json", "text"])
def test_nothing_leaves_a_log_call(tmp_path: Path, style: str) -> None:
    sink = configure(style, "info", tmp_path / "log")  # type: ignore[arg-type]
    structlog.get_logger().info("still told", value=Unprintable())
    sink.close()
    assert lines(tmp_path / "log") == [{"event": "still told", "level": "info", "log_error": "ValueError"}]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_loses_lines_and_nothing_else() -> None:
    sink = configure("json", "info", Path("/dev/full"))
    structlog.get_logger().info("lost")
    structlog.get_logger().info("lost too")
    assert sink.lost == 2
    sink.close()
    structlog.get_logger().info("after the end")
    assert sink.lost == 3


def test_a_long_line_is_cut(tmp_path: Path) -> None:
    sink = configure("json", "info", tmp_path / "log")
    structlog.get_logger().info("long", value="x" * (2 * MAX_LINE))
    structlog.get_logger().info("next")
    sink.close()
    first, second = (tmp_path / "log").read_bytes().splitlines(keepends=True)
    assert len(first) == MAX_LINE
    assert json.loads(second)["event"] == "next"


def test_a_rotated_file_is_left_for_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    sink = configure("json", "info", path)
    structlog.get_logger().info("before")
    path.rename(tmp_path / "log.1")
    sink.reopen()
    structlog.get_logger().info("after")
    sink.close()
    assert [line["event"] for line in lines(path)] == ["after"]
    assert [line["event"] for line in lines(tmp_path / "log.1")] == ["before"]


def test_a_log_that_cannot_be_reopened_goes_on_in_the_old_file(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    sink = configure("json", "info", folder / "log")
    folder.rename(tmp_path / "moved")
    sink.reopen()
    structlog.get_logger().info("still here")
    sink.close()
    assert [line["event"] for line in lines(tmp_path / "moved" / "log")] == ["still here"]
    assert sink.lost == 1


def test_what_libraries_log_has_the_same_shape(tmp_path: Path) -> None:
    sink = configure("json", "info", tmp_path / "log")
    configured_again = configure("json", "info", tmp_path / "log")

    async def forgotten() -> None:
        asyncio.get_running_loop().call_exception_handler({"message": "Task exception was never retrieved"})

    asyncio.run(forgotten())
    logging.getLogger("library").warning("%d of %s", 3, "four")
    logging.getLogger("library").warning("%d", "not a number")
    logging.getLogger("library").info("too quiet")
    sink.close()
    configured_again.close()
    told = [(line["logger"], line["level"], line["event"]) for line in lines(tmp_path / "log")]
    assert told == [
        ("asyncio", "error", "Task exception was never retrieved"),
        ("library", "warning", "3 of four"),
        ("library", "warning", "%d"),
    ]


def test_a_log_file_that_cannot_be_opened_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        configure("json", "info", tmp_path / "missing" / "log")


def test_the_time_is_utc_whatever_the_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        sink = configure("json", "info", tmp_path / "log")
        structlog.get_logger().info("now")
        sink.close()
    finally:
        monkeypatch.undo()
        time.tzset()
    told = datetime.fromisoformat(str(lines(tmp_path / "log")[0]["timestamp"]))
    assert abs((datetime.now(UTC) - told).total_seconds()) < 60
