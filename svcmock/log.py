"""What the daemon's log looks like and where it goes.

Decides the one shape of every log line, JSON or text, and promises that logging never disturbs serving: no
exception leaves a log call, a full disk loses lines and nothing else, and what a peer sends cannot forge a
line or reach the terminal as a control sequence. A line is one `write`, so that lines of several threads
do not mix. Loggers come from `structlog.get_logger()`; `bind(service=..., connection=...)` names who speaks.
"""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

Format: TypeAlias = Literal["auto", "text", "json"]
"""`auto` is text on a terminal and JSON everywhere else."""
Level: TypeAlias = Literal["debug", "info", "warning", "error"]

MAX_LINE = 64 * 1024
"""A longer line is cut, in bytes. Peers choose what they send, not how much of it is logged."""

_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_ESCAPES |= {
    code: f"\\u{code:04x}" for code in (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
# Lone surrogates, of bytes that were no UTF-8, cannot be encoded at all.
_ESCAPES |= {code: f"\\u{code:04x}" for code in range(0xD800, 0xE000)}
_KEPT_IN_TRACEBACKS = {code: text for code, text in _ESCAPES.items() if code != 0x0A}


class Sink:
    """Where lines go: a file, appended to and readable by its owner only, or standard error.

    Lines that cannot be written are counted in `lost`. Raises OSError only when it is made.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.lost = 0
        self._fd = 2 if path is None else _open(path)

    def msg(self, line: bytes) -> None:
        """Write one line, or lose it."""
        rest = memoryview(line if len(line) <= MAX_LINE else line[: MAX_LINE - 4] + b"...\n")
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            self.lost += 1

    debug = info = warning = warn = error = critical = fatal = exception = failure = log = msg

    def reopen(self) -> None:
        """Follow a log file that was rotated away. The old one stays in use where that fails."""
        if self.path is None:
            return
        try:
            fresh = _open(self.path)
        except OSError:
            self.lost += 1
            return
        old, self._fd = self._fd, fresh
        os.close(old)

    def isatty(self) -> bool:
        """Whether a person is looking."""
        try:
            return os.isatty(self._fd)
        except OSError:
            return False

    def close(self) -> None:
        """Close the file. What is logged after that is lost."""
        if self.path is not None and self._fd != -1:
            os.close(self._fd)
            self._fd = -1


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def configure(style: Format = "auto", level: Level = "info", path: Path | None = None) -> Sink:
    """Set up logging for this process, the standard library's included; returns where lines go.

    Called once by the command line. Raises OSError when the log file cannot be opened.
    """
    sink = Sink(path)
    text = style == "text" or (style == "auto" and sink.isatty())
    colors = sink.isatty() and "NO_COLOR" not in os.environ
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=_processors(_text_renderer(colors=colors) if text else _render_json),
        wrapper_class=_never_raising(structlog.make_filtering_bound_logger(number)),
        logger_factory=lambda *_: sink,
        cache_logger_on_first_use=True,
    )
    _adopt_standard_logging(max(number, logging.WARNING))
    return sink


def _processors(render: Processor) -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        render,
    ]


def _never_raising(bound: type[FilteringBoundLogger]) -> type[FilteringBoundLogger]:
    """`bound` with the promise of this module: whatever goes wrong inside a log call stays there."""

    class Safe(bound):  # type: ignore[misc, valid-type]
        def _proxy_to_logger(self, method_name: str, event: str | None = None, **kw: Any) -> Any:
            try:
                return super()._proxy_to_logger(method_name, event, **kw)
            except Exception as error:  # noqa: BLE001  that is the promise
                told = {"event": str(event), "level": method_name, "log_error": type(error).__name__}
                return self._logger.msg(msgspec.json.encode(told) + b"\n")

    return Safe


# --- the two shapes -----------------------------------------------------------------------------------

_encoder = msgspec.json.Encoder(enc_hook=repr)


def _render_json(_: WrappedLogger, __: str, event: EventDict) -> bytes:
    """One JSON object a line, the things a reader looks for first in front."""
    front = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    line = {**front, **event}
    try:
        return _encoder.encode(line) + b"\n"
    except (TypeError, ValueError):
        # Lone surrogates, keys that are no strings: paid for only when they come.
        return _encoder.encode({str(key): _harmless(str(key), value) for key, value in line.items()}) + b"\n"


def _text_renderer(*, colors: bool) -> Processor:
    console = structlog.dev.ConsoleRenderer(
        colors=colors, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
    )

    def render(logger: WrappedLogger, method: str, event: EventDict) -> bytes:
        harmless: EventDict = {key: _harmless(key, value) for key, value in event.items()}
        return str(console(logger, method, harmless)).encode("utf-8", "backslashreplace") + b"\n"

    return render


def _harmless(key: str, value: object) -> object:
    """Text that neither ends the line nor speaks to the terminal."""
    if isinstance(value, bool | int | float | None):
        return value
    text = value if isinstance(value, str) else repr(value)
    return text.translate(_KEPT_IN_TRACEBACKS if key in ("exception", "stack") else _ESCAPES)


# --- the standard library's loggers -------------------------------------------------------------------


class _Adopted(logging.Handler):
    """Passes what libraries log (asyncio above all) on to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001  the arguments are a library's, and so are their mistakes
            message = str(record.msg)
        log: Callable[..., Any] = getattr(structlog.get_logger(), _method(record.levelno))
        log(message, logger=record.name, exc_info=record.exc_info or None)


def _method(level: int) -> str:
    names: Sequence[tuple[int, str]] = (
        (logging.ERROR, "error"),
        (logging.WARNING, "warning"),
        (logging.INFO, "info"),
    )
    return next((name for least, name in names if level >= least), "debug")


def _adopt_standard_logging(level: int) -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Adopted)]:
        root.removeHandler(handler)
    root.addHandler(_Adopted())
    root.setLevel(level)
    logging.raiseExceptions = False
    sys.unraisablehook = _unraisable


def _unraisable(args: "sys.UnraisableHookArgs") -> None:
    """What Python could only print, a bad SNI name in a TLS handshake for one, becomes a log line."""
    structlog.get_logger().warning("ignored an error", where=repr(args.object), error=repr(args.exc_value))
