"""Operations are priced before they run, refused or charged, and settled when it is known what they gave."""

from collections.abc import AsyncIterator
from typing import Any

from graphql import OperationType
from strawberry.extensions import SchemaExtension
from strawberry.types import ExecutionResult

from domain.errors import TooComplex
from graph.cost import Priced, points
from graph.errors import is_request_error
from graph.execution import Asked, Planned
from graph.http.meters import Meter, Standing


class Metering(SchemaExtension):
    """The cost of one operation, of which `extensions.cost` tells the client.

    What fails on its way is not given back: it has been worked for. A subscription is charged for its beginning, and
    then for each event what that cost; when nothing is left it ends, and is resumed at its cursor.
    """

    execution_context: Asked

    def __init__(self, most: int) -> None:
        self.most = most
        self.told: tuple[int, Standing] | None = None
        self.priced: Priced | None = None
        self.live = False

    async def on_execute(self) -> AsyncIterator[None]:
        """Price and charge before anything runs; raises TooComplex or RateLimited."""
        context = self.execution_context
        self.priced = priced = self._price()
        if priced.estimate > self.most:
            raise too_dear(priced.estimate, self.most)
        meter = self._meter()
        if meter is None:
            yield
            return
        bill = await meter.charge(max(1, priced.own) if self.live else priced.estimate, priced.by_address)
        if not self.live:
            self.told = priced.estimate, bill.standing
        yield
        if not self.live:
            actual = actual_cost(priced, context.result)
            self.told = actual, await bill.settle(actual)

    async def on_stream_result(self, result: Any) -> AsyncIterator[None]:
        """Charge an event of a subscription before it is sent; raises RateLimited, which ends the subscription."""
        meter = self._meter()
        if self.live and self.priced and meter and not is_request_error(result.errors):
            await self._charge_event(self.priced, meter, result)
        yield

    async def _charge_event(self, priced: Priced, meter: Meter, result: Any) -> None:
        actual = max(1, actual_cost(priced, result))
        bill = await meter.charge(actual)
        self.told = actual, bill.standing
        result.extensions = {**(result.extensions or {}), **self.get_results()}

    def get_results(self) -> dict[str, Any]:
        """What the answer says of its cost."""
        if self.told is None:
            return {}
        actual, standing = self.told
        cost = {
            "requested": self.priced.estimate if self.priced else actual,
            "actual": actual,
            "remaining": standing.remaining,
            "resetAt": standing.resets_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        }
        return {"cost": cost}

    def _price(self) -> Priced:
        context = self.execution_context
        operation = context.document.operation(context.operation_name) if context.document else None
        if operation is None:
            raise RuntimeError("only what was found valid and chosen is executed")
        self.live = operation.subject.operation.operation is OperationType.SUBSCRIPTION
        return operation.price(context.variables or {})

    def _meter(self) -> Meter | None:
        meter: Meter | None = getattr(self.execution_context.context, "meter", None)
        return meter


def too_dear(requested: int, most: int) -> TooComplex:
    """The fault of an operation that costs more than any may."""
    issue = f"requested {requested} points, limit {most}"
    return TooComplex(
        f"The operation costs too much: {issue}. Ask for smaller pages, or less beneath them.", (("cost", issue),)
    )


def actual_cost(priced: Priced, result: Any) -> int:
    """What an answer has cost: nothing if nothing ran, and no less than was charged if anything failed."""
    if not isinstance(result, ExecutionResult) and not hasattr(result, "data"):
        return priced.estimate
    if is_request_error(result.errors):
        return 0
    actual = points(result.spent) if isinstance(result, Planned) else priced.actual(result.data)
    return max(actual, priced.estimate) if result.errors else actual
