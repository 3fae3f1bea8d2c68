"""Several models that stand in for each other, in order of preference."""

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final, TypeVar

import msgspec

from domain.assistant.models import Ask, Call, Formed, Model, ModelDown, ModelRefused, ModelUnusable, Piece, Text

log = logging.getLogger("steward.models")

T = TypeVar("T")

FAILURES: Final = 3
REST_SECONDS: Final = 30.0

# Seconds, from any start.
Ticks = Callable[[], float]


class Breaker:
    """Keeps a model from being asked that has failed `failures` times in a row, for `rest` seconds; then one ask tries.

    While that one is under way no other is let through, and if it fails the model rests once more.
    """

    def __init__(self, failures: int = FAILURES, rest: float = REST_SECONDS, ticks: Ticks = time.monotonic) -> None:
        self._most = failures
        self._rest = rest
        self._ticks = ticks
        self._failed = 0
        self._opened = 0.0
        self._probing = False

    def admits(self) -> bool:
        """Whether the model may be asked now."""
        if self._failed < self._most:
            return True
        return not self._probing and self._ticks() - self._opened >= self._rest

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Hold while the model is asked: by how the block ends it is counted.

        A refusal of what is asked is an answer as well; one that is given up tells nothing of the model.
        """
        probe = self._probing = self._failed >= self._most
        try:
            yield
        except (ModelDown, ModelUnusable):
            self._failed += 1
            self._opened = self._ticks()
            raise
        except ModelRefused:
            self._failed = 0
            raise
        else:
            self._failed = 0
        finally:
            if probe:
                self._probing = False


class Chain:
    """Models in order of preference, each behind a breaker: who is down or refuses is followed by the next.

    What the reader has seen already is told to the next, so that all that comes is one answer. The last resort, where
    there is one, is simply the last.
    """

    def __init__(
        self,
        models: Sequence[Model],
        *,
        failures: int = FAILURES,
        rest: float = REST_SECONDS,
        ticks: Ticks = time.monotonic,
    ) -> None:
        self._links = [(model, Breaker(failures, rest, ticks)) for model in models]

    @property
    def name(self) -> str:
        """The names of its models; the usage of each answer says which of them gave it."""
        return ", ".join(model.name for model, _ in self._links)

    async def answer(self, ask: Ask) -> AsyncGenerator[Piece]:
        """The answer of the first that gives one, or goes on with one.

        Raises ModelDown where none does, and ModelRefused where all of them decline what is asked.
        """
        said, called = ask.said, False
        failed: list[Exception] = []
        for model, breaker in self._admitted():
            try:
                async with _asked(model, breaker, msgspec.structs.replace(ask, said=said)) as pieces:
                    async for piece in pieces:
                        said += piece.text if isinstance(piece, Text) else ""
                        called = called or isinstance(piece, Call)
                        yield piece
            except (ModelDown, ModelRefused) as error:
                failed.append(self._passed_over(model, error))
                # After its calls an answer lacks nothing but its cost, and another model would call once more.
                if called:
                    return
            else:
                return
        raise self._none_left(failed)

    async def structured(self, ask: Ask, shape: type[T]) -> Formed[T]:
        """The first answer of the shape. Raises ModelDown and ModelRefused as `answer` does."""
        failed: list[Exception] = []
        for model, breaker in self._admitted():
            try:
                with breaker.asking():
                    return await model.structured(ask, shape)
            except (ModelDown, ModelRefused) as error:
                failed.append(self._passed_over(model, error))
        raise self._none_left(failed)

    def _none_left(self, failed: Sequence[Exception]) -> Exception:
        """Why there is no answer: as long as one of them may answer later, that the models are down."""
        declined = [each for each in failed if isinstance(each, ModelRefused) and not isinstance(each, ModelUnusable)]
        if declined and len(declined) == len(self._links):
            return declined[-1]
        return ModelDown("no model answers")

    def _admitted(self) -> Iterator[tuple[Model, Breaker]]:
        """Those that may be asked: of each it is found out when its turn has come."""
        return (link for link in self._links if link[1].admits())

    @staticmethod
    def _passed_over(model: Model, error: Exception) -> Exception:
        log.warning("the model %s is passed over: %s", model.name, type(error).__name__)
        return error


@asynccontextmanager
async def _asked(model: Model, breaker: Breaker, ask: Ask) -> AsyncIterator[AsyncIterator[Piece]]:
    """The pieces of an answer; what gives them ends with the block, so that its connection is given back at once."""
    pieces = model.answer(ask)
    with breaker.asking():
        try:
            yield pieces
        finally:
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()
