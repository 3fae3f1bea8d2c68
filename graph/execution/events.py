"""The events of a subscription, executed by its plan: those that came together are one level, each is encoded once."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from graphql.execution.values import VariableValues

from graph.cost import points
from graph.execution.documents import Operation
from graph.execution.plan import Level
from graph.execution.run import Planned, Run
from graph.fanout import Answer

JSON: Final = msgspec.json.Encoder()
# Equal values are equal texts.
STEADY: Final = msgspec.json.Encoder(order="sorted")


class Rendering:
    """How the events of one subscription are executed, as `graph.fanout` shares them."""

    def __init__(self, operation: Operation, level: Level, variables: VariableValues, given: Mapping[str, Any]) -> None:
        self._subject = operation.subject
        self._level = level
        self._variables = variables
        self._priced = priced = operation.price(given)
        self._whole = priced.whole
        self.personal = level.personal
        used = {name: given[name] for name in operation.beneath if name in given}
        self.key = operation, STEADY.encode(used)

    async def one(self, source: Any, context: Any) -> Planned:
        """The result of one event."""
        return await Run(self._subject, self._variables, context, source).result(self._level)

    async def all(self, sources: Sequence[Any], context: Any) -> list[Answer]:
        """The answers to events that came together, which share what is loaded for them."""
        if len(sources) == 1:
            return [self._of(await self.one(sources[0], context))]
        run = Run(self._subject, self._variables, context, None)
        if rows := await run.rows(self._level, sources):
            return self._of_rows(rows, run.spent)
        return [self._of(await self.one(source, context.apart())) for source in sources]

    def _of(self, result: Planned) -> Answer:
        cost = points(result.spent)
        if result.errors:
            # What fails on its way is not given back.
            cost = max(cost, self._priced.estimate)
        return Answer(JSON.encode(result.data), result.errors, max(1, cost))

    def _of_rows(self, rows: Sequence[Any], spent: int) -> list[Answer]:
        encoded = list(map(JSON.encode, rows))
        if self._whole is not None and spent == self._whole * len(rows):
            cost = max(1, points(self._whole))
            return [Answer(data, None, cost) for data in encoded]
        return [Answer(data, None, max(1, self._actual(data))) for data in encoded]

    def _actual(self, data: bytes) -> int:
        return self._priced.actual(msgspec.json.decode(data))
