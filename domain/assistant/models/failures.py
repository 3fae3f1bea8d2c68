"""What goes wrong at an endpoint: what may be tried again, and after how long; nothing of it repeats a key."""

import logging
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec
import openai

from domain.assistant.models import ModelDown, ModelRefused, ModelUnusable

log = logging.getLogger("steward.models")

# Seconds before the first, second and third retry; by chance each is up to a quarter longer, so that not all who have
# failed together come back together.
PAUSES: Final = (1.0, 2.0, 4.0)
JITTER: Final = 0.25
# An endpoint that wants us to wait longer than this is down for whoever waits for an answer.
LONGEST_PAUSE: Final = 20.0
REQUEST_TIMEOUT: Final = 408
CONFLICT: Final = 409
TOO_EARLY: Final = 425
TOO_MANY: Final = 429
RETRIED: Final = frozenset({REQUEST_TIMEOUT, CONFLICT, TOO_EARLY, TOO_MANY})
# What it says of an ask, and not of us: it is malformed, too large, or cannot be answered.
REFUSING: Final = frozenset({400, 413, 422})
SERVER_ERRORS: Final = 500
# Its account is empty: to wait a few seconds changes nothing.
SPENT: Final = "insufficient_quota"
FILTERED: Final = "content_filter"
# What can go wrong at an endpoint: the SDK's errors, our time-out between pieces, and pieces that cannot be read.
FAILED: Final = (openai.APIError, TimeoutError, ValueError, RecursionError, msgspec.ValidationError)
CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,60}")

Sleep = Callable[[float], Awaitable[None]]


class Again(Exception):  # noqa: N818 - what to do
    """An attempt has failed that may succeed if it is made again; `after` is how many seconds the endpoint asks for."""

    def __init__(self, why: str, after: float = 0) -> None:
        super().__init__(why)
        self.after = after


class Retries:
    """The attempts that an endpoint has for one ask."""

    def __init__(self, name: str, sleep: Sleep, chance: Callable[[], float]) -> None:
        self._name = name
        self._sleep = sleep
        self._chance = chance
        self._pauses = iter(PAUSES)

    async def pause(self, failed: Again) -> None:
        """Wait before the next attempt; raises ModelDown where there is none."""
        pause = next(self._pauses, None)
        if pause is None or failed.after > LONGEST_PAUSE:
            log.warning("the model %s does not answer: %s", self._name, failed)
            raise ModelDown(f"{self._name}: {failed}")
        await self._sleep(max(pause * (1 + JITTER * self._chance()), failed.after))


def meaning(name: str, error: Exception) -> Exception:
    """What one of FAILED means: Again, ModelRefused or ModelUnusable.

    To be raised when the error is handled already, for it holds the request, and with it the key.
    """
    match error:
        case openai.APIStatusError():
            return _of_status(name, error)
        case openai.APITimeoutError() | TimeoutError():
            return Again("time-out")
        case openai.APIConnectionError():
            return Again("the connection failed")
        case openai.APIError():
            return _of_stream(name, error)
        case _:
            return Again("an answer that cannot be read")


def _of_status(name: str, error: openai.APIStatusError) -> Exception:
    status, code = error.status_code, _code(error)
    what = f"status {status}{f' ({code})' if code else ''}"
    if code != SPENT and (status in RETRIED or status >= SERVER_ERRORS):
        return Again(what, _after(error))
    if status in REFUSING:
        return ModelRefused(f"{name}: {what}")
    log.error("the model %s cannot be used, see its settings: %s", name, what)
    return ModelUnusable(f"{name}: {what}")


def _of_stream(name: str, error: openai.APIError) -> Exception:
    code = _code(error)
    if code == FILTERED:
        return ModelRefused(f"{name}: {code}")
    return Again(f"an error within the answer{f' ({code})' if code else ''}")


def _code(error: openai.APIError) -> str:
    """The word for what is wrong, if it is one: the sentence beside it may repeat what was sent, or part of a key."""
    code = error.code or error.type or ""
    return code if CODE.fullmatch(code) else ""


def _after(error: openai.APIStatusError) -> float:
    """For how many seconds the endpoint asks to be left alone."""
    stated = error.response.headers.get("retry-after", "")
    try:
        return max(0.0, float(stated))
    except ValueError:
        return _until(stated)


def _until(stated: str) -> float:
    try:
        moment = parsedate_to_datetime(stated)
    except ValueError:
        return 0
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
