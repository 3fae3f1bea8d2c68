"""A data loader that takes the keys of a whole level at once; whoever asks in the same turn is served by one load."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

Load = Callable[[list[Any]], Awaitable[Sequence[Any]]]


class Loader:
    """Loads each key once, and remembers what came: so it is made for one operation, and never kept longer.

    One future for each load, not for each key: at a thousand keys, futures cost more than the statement.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._found: dict[Any, Any] = {}
        self._loads: dict[Any, asyncio.Task[None]] = {}
        self._gathering: tuple[list[Any], asyncio.Task[None]] | None = None

    async def all(self, keys: Sequence[Any]) -> list[Any]:
        """What is loaded for each of these keys; raises what their load has raised."""
        distinct = dict.fromkeys(keys)
        if missing := [key for key in distinct if key not in self._loads]:
            asked, load = self._gathering or self._begin()
            asked += missing
            self._loads.update(dict.fromkeys(missing, load))
        for load in set(map(self._loads.__getitem__, distinct)):
            # It serves others too, who must not lose it when one is cancelled.
            await asyncio.shield(load)
        return list(map(self._found.__getitem__, keys))

    def _begin(self) -> tuple[list[Any], "asyncio.Task[None]"]:
        asked: list[Any] = []
        load = asyncio.create_task(self._load_soon(asked))
        # Seen even if all who asked have left.
        load.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._gathering = asked, load
        return self._gathering

    async def _load_soon(self, asked: list[Any]) -> None:
        await asyncio.sleep(0)
        self._gathering = None
        self._found.update(zip(asked, await self._load(asked), strict=True))
