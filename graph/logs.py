"""Log lines: one JSON object each, or text for people; with the request, the viewer and the operation, and masked.

All loggers go the same way, those of libraries too: whoever logs uses the standard library's `logging`.
"""

import logging
import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, TextIO

import orjson
import structlog
from structlog.types import EventDict

from graph.masking import masked_event
from graph.running import running

# Libraries that tell of each request or step; their warnings are heard.
TALKATIVE: Final = ("alembic", "asyncio", "httpcore", "httpx", "uvicorn")
# What stands first in a line of text; all else follows as key=value.
_LEADING: Final = ("time", "level", "logger", "message", "exception", "stack")


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
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter(form))
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each.formatter, structlog.stdlib.ProcessorFormatter)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.value.upper())
    for name in TALKATIVE:
        quiet = logging.NOTSET if level is LogLevel.DEBUG else max(logging.WARNING, root.level)
        logging.getLogger(name).setLevel(quiet)
    return handler


def formatter(form: LogFormat) -> logging.Formatter:
    """What makes a line of a record, and masks it last of all."""
    render: Callable[[Any, str, EventDict], str] = _as_json if form is LogFormat.JSON else _as_text
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _surroundings,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.StackInfoRenderer(),
            # Without the values of local variables: they are clients' data.
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            _mask,
            render,
        ],
    )


def _surroundings(_: Any, __: str, event: EventDict) -> EventDict:
    """Add what runs at present; what the line itself says of it counts more."""
    # uvicorn's message once more, for terminals.
    event.pop("color_message", None)
    if (now := running()) is not None:
        return {**now.told(), **event}
    return event


def _mask(_: Any, __: str, event: EventDict) -> EventDict:
    return masked_event(event)


def _as_json(_: Any, __: str, event: EventDict) -> str:
    return orjson.dumps(event, option=orjson.OPT_NON_STR_KEYS, default=str).decode()


def _as_text(_: Any, __: str, event: EventDict) -> str:
    head = f"{event.get('time', '')} {str(event.get('level', '')).upper()} {event.get('logger', '')}:"
    rest = [f"{key}={_word(value)}" for key, value in event.items() if key not in _LEADING and value is not None]
    line = " ".join([head, _one_line(str(event.get("message", ""))), *rest])
    return "\n".join([line, *(str(event[key]) for key in ("exception", "stack") if event.get(key))])


def _word(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return _one_line(text) if text and " " not in text else orjson.dumps(text).decode()


def _one_line(text: str) -> str:
    """A text that cannot pass for two lines: some of it is the clients' own."""
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in text)
