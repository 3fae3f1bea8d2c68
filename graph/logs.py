"""Log lines: one JSON object each, or text for people; with the request, the viewer and the operation, and masked.

All loggers go the same way, those of libraries too: whoever logs uses the standard library's `logging`.
"""

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from time import time
from typing import Any, Final, TextIO, cast

import orjson

from graph.masking import masked, masked_event
from graph.running import running

# Libraries that tell of each request or step; their warnings are heard.
TALKATIVE: Final = ("alembic", "asyncio", "httpcore", "httpcore2", "httpx", "httpx2", "openai", "uvicorn")
# For how many seconds lines wait for others, and how many wait at most: what lies about takes the processor's cache.
MOMENT: Final = 0.05
MOST_WAITING: Final = 64
# What stands first in a line of text; all else follows as key=value.
_LEADING: Final = ("time", "level", "logger", "message", "exception")
# What every record has, and uvicorn's message once more, for terminals.
_STANDARD: Final = vars(logging.LogRecord("", 0, "", 0, "", (), None)).keys() | {"message", "asctime", "color_message"}


class LogFormat(StrEnum):
    """How log lines are written."""

    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """From which gravity on lines are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def set_up(form: LogFormat, level: LogLevel, stream: TextIO | None = None) -> logging.Handler:
    """Have everything that is logged written to the stream, standard error by default; gives what writes it.

    May be called again, with other settings.
    """
    # No line says where in our code, or in which thread, it was written: to find out costs as much as to write it.
    logging._srcfile = None  # noqa: SLF001 - as the library's documentation has it
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = _Together(stream or sys.stderr)
    handler.setFormatter(formatter(form))
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each.formatter, _Lines)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.value.upper())
    for name in TALKATIVE:
        quiet = logging.NOTSET if level is LogLevel.DEBUG else max(logging.WARNING, root.level)
        logging.getLogger(name).setLevel(quiet)
    return handler


def log_info(logger: logging.Logger, message: str, facts: Mapping[str, Any], measured: Mapping[str, float]) -> None:
    """Log a message as `logger.info(message, extra={**facts, **measured})` does, where that is what each request does.

    The library makes a record of it, and asks each logger above and each handler what they think of that: four fifths
    of what a line costs. So where our own handler is all there is, the line goes straight to it. `facts` are hashable,
    and many lines' the same.
    """
    handlers = logging.root.handlers
    ours = handlers[0] if len(handlers) == 1 else None
    plain = not (logger.handlers or logger.filters)
    if plain and type(ours) is _Together and not ours.filters and ours.level <= logging.INFO:
        ours.take(logger.name, message, facts, measured)
    else:
        logger.info(message, extra={**facts, **measured})


# What a line is made of when it is written: `quick` takes it.
Untold = tuple[float, Mapping[str, str] | None, str, str, Mapping[str, Any], Mapping[str, float]]


class _Together(logging.StreamHandler[TextIO]):
    """Writes the lines of a moment at once: to write each by itself costs as much as to read a row.

    So does making them one by one, between all that a request needs: they are made when they are written, of what there
    was to tell. Warnings and worse are written at once, and so is everything where no loop runs.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str | Untold] = []
        # The loop that will write them.
        self._due: asyncio.AbstractEventLoop | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Make the line now, for it tells of what runs now."""
        try:
            self._add(self.format(record), at_once=record.levelno >= logging.WARNING)
        except Exception:  # noqa: BLE001 - as the library's own handlers do: no line of a log may fail what logs it
            self.handleError(record)

    def take(self, logger: str, message: str, facts: Mapping[str, Any], measured: Mapping[str, float]) -> None:
        """Have a line made at level INFO of these facts, without a record."""
        try:
            now = running()
            with self.lock or nullcontext():
                self._add((time(), now.told() if now else None, logger, message, facts, measured), at_once=False)
        except Exception:  # noqa: BLE001 - as above
            self._failed(logger)

    def _add(self, line: "str | Untold", *, at_once: bool) -> None:
        self._lines.append(line)
        loop = _loop()
        if at_once or loop is None or len(self._lines) >= MOST_WAITING:
            self.flush()
        elif self._due is not loop:
            # Never cancelled: a timer is its loop's own, and whoever writes may be in another thread.
            self._due = loop
            loop.call_later(MOMENT, self._moment)

    def _moment(self) -> None:
        self._due = None
        try:
            self.flush()
        except Exception:  # noqa: BLE001 - as above
            self._failed(__name__)

    def _failed(self, logger: str) -> None:
        self.handleError(logging.LogRecord(logger, logging.INFO, "", 0, "a line of the log", (), None))

    def flush(self) -> None:
        """Write what there is."""
        with self.lock or nullcontext():
            lines, self._lines = self._lines, []
            if lines:
                self.stream.write("".join(map(self._made, lines)))
            super().flush()

    def _made(self, line: "str | Untold") -> str:
        """A line as it is written; none of it where it cannot be made, which is told."""
        if type(line) is tuple:
            try:
                line = cast("_Lines", self.formatter).quick(*line)
            except Exception:  # noqa: BLE001 - as above
                self._failed(line[2])
                return ""
        return f"{line}{self.terminator}"


def _loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def formatter(form: LogFormat) -> logging.Formatter:
    """What makes a line of a record, and masks it last of all."""
    return _Lines(_as_json if form is LogFormat.JSON else _as_text)


class _Lines(logging.Formatter):
    """The facts of a record, those that its logger gave as `extra` and those of what runs at present, in one line."""

    def __init__(self, render: Callable[[dict[str, Any]], str]) -> None:
        super().__init__()
        self._render = render

    def format(self, record: logging.LogRecord) -> str:
        """The line; what the record itself says counts more than what surrounds it."""
        facts = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            # Without the values of local variables: they are clients' data.
            facts["exception"] = self.formatException(record.exc_info)
        now = running()
        told = now.told() if now is not None else {}
        return self.line(record.created, record.levelname.lower(), record.name, record.getMessage(), told | facts)

    def quick(  # noqa: PLR0917 - what `take` has kept
        self,
        moment: float,
        told: Mapping[str, str] | None,
        logger: str,
        message: str,
        facts: Mapping[str, Any],
        measured: Mapping[str, float],
    ) -> str:
        """As `line`, at level INFO, of what was `told`; what is the same in many lines is rendered and masked once."""
        said = dict(told or {})
        if self._render is not _as_json or told is None:
            return self.line(moment, "info", logger, message, {**said, **facts, **measured})
        own = {"time": _stamp(moment), "request_id": masked(said.pop("request_id")), **measured}
        return orjson.dumps(own)[:-1].decode() + _same(logger, message, *said.items(), *facts.items())

    def line(self, moment: float, level: str, logger: str, message: str, facts: Mapping[str, Any]) -> str:
        """The line of a message and its facts; `moment` is in seconds since 1970."""
        event: dict[str, Any] = {
            "time": _stamp(moment),
            "level": level,
            "logger": logger,
            "message": message,
        }
        event |= facts
        return self._render(masked_event(event))


def _stamp(moment: float) -> str:
    second, part = divmod(int(moment * 1_000_000), 1_000_000)
    return f"{_second(second)}.{part:06d}Z"


@lru_cache(maxsize=4)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat(timespec="seconds")[:-6]


@lru_cache(maxsize=1024)
def _same(logger: str, message: str, *facts: tuple[str, Any]) -> str:
    """The end of a line at level INFO, from the comma on."""
    return "," + _as_json(masked_event({"level": "info", "logger": logger, "message": message, **dict(facts)}))[1:]


def _as_json(event: dict[str, Any]) -> str:
    return orjson.dumps(event, option=orjson.OPT_NON_STR_KEYS, default=str).decode()


def _as_text(event: dict[str, Any]) -> str:
    head = f"{event['time']} {str(event['level']).upper()} {event['logger']}: {_one_line(str(event['message']))}"
    rest = [f"{key}={_word(value)}" for key, value in event.items() if key not in _LEADING and value is not None]
    line = " ".join([head, *rest])
    return f"{line}\n{event['exception']}" if event.get("exception") else line


def _word(value: Any) -> str:
    if type(value) is int or type(value) is float:
        return str(value)
    text = value if type(value) is str else orjson.dumps(value, default=str).decode()
    if not text or " " in text:
        return orjson.dumps(text).decode()
    return text if text.isprintable() else _one_line(text)


def _one_line(text: str) -> str:
    """A text that cannot pass for two lines: some of it is the clients' own."""
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in text)
