"""Operations are priced before they run, refused or charged, and settled when it is known what they gave."""

from collections.abc import AsyncIterator
from datetime import datetime
from functools import lru_cache
from typing import Any

from graphql import OperationType
from strawberry.extensions import SchemaExtension
from strawberry.types import ExecutionResult

from domain.errors import TooComplex
from graph.cost import Priced, points
from graph.errors import is_request_error
from graph.execution import Asked, Planned
from graph.http.live import Event, Live, Receipt
from graph.http.meters import Bill, Meter


class Metering(SchemaExtension):
    """The cost of one operation, of which `extensions.cost` tells the client.

    What fails on its way is not given back: it has been worked for. A subscription is charged for its beginning, and
    then for each event what that cost; when nothing is left it ends, and is resumed at its cursor.
    """

    execution_context: Asked

    def __init__(self, most: int) -> None:
        self.most = most
        self.told: tuple[int, Bill] | None = None
        self.priced: Priced | None = None
        self.live = False

    async def on_execute(self) -> AsyncIterator[None]:
        """Price and charge before anything runs; raises TooComplex or RateLimited."""
        context = self.execution_context
        self.priced = priced = self._price()
        check_price(priced, self.most)
        meter = self._meter()
        if meter is None:
            yield
            return
        bill = await meter.charge(max(1, priced.own) if self.live else priced.estimate, priced.by_address)
        if not self.live:
            self.told = priced.estimate, bill
        yield
        if not self.live:
            actual = actual_cost(priced, context.result)
            await bill.settle(actual)
            self.told = actual, bill

    async def on_stream_result(self, result: Any) -> AsyncIterator[None]:
        """Charge an event of a subscription before it is sent; raises RateLimited, which ends the subscription."""
        meter = self._meter()
        if isinstance(result, Live):
            result.asked = self.execution_context
            result.toll = EventToll(self, meter) if meter else None
        elif self.live and self.priced and meter and not is_request_error(result.errors):
            await self._charge_event(self.priced, meter, result)
        yield

    async def _charge_event(self, priced: Priced, meter: Meter, result: Any) -> None:
        actual = max(1, actual_cost(priced, result))
        result.extensions = {**(result.extensions or {}), "cost": await self.charge(meter, actual)}

    async def charge(self, meter: Meter, actual: int) -> dict[str, Any]:
        """Charge an event, and give what its answer says of it; raises RateLimited."""
        bill = await meter.charge(actual)
        self.told = actual, bill
        return self._cost(actual, bill)

    def get_results(self) -> dict[str, Any]:
        """What the answer says of its cost."""
        return {"cost": self._cost(*self.told)} if self.told else {}

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

    def _cost(self, actual: int, bill: Bill) -> dict[str, Any]:
        return told_cost(self.priced.estimate if self.priced else actual, actual, bill)


def told_cost(requested: int, actual: int, bill: Bill) -> dict[str, Any]:
    """What an answer says of its cost."""
    standing = bill.standing
    return {
        "requested": requested,
        "actual": actual,
        "remaining": standing.remaining,
        "resetAt": stamp(standing.resets_at),
    }


class EventToll:
    """Charges the events of a subscription that are shared."""

    def __init__(self, metering: Metering, meter: Meter) -> None:
        self.requested = metering.priced.estimate if metering.priced else 0
        self._metering = metering
        self._meter = meter
        self._at_once = meter.at_once()
        self._receipt: tuple[datetime, bytes] | None = None

    def at_once(self, points: int) -> Receipt | None:
        """Charge without waiting; None, and nothing is charged, if that cannot be, or too little is left."""
        charged = self._at_once(points)
        if charged is None:
            return None
        remaining, resets_at = charged
        if self._receipt is None or self._receipt[0] is not resets_at:
            self._receipt = resets_at, stamp(resets_at).encode()
        return Receipt(remaining, self._receipt[1])

    async def charge(self, points: int) -> dict[str, Any]:
        """Charge, and give what the answer says of it; raises RateLimited."""
        return await self._metering.charge(self._meter, points)


# Of a budget's window there is one for many requests.
@lru_cache(maxsize=256)
def stamp(moment: datetime) -> str:
    """A moment in UTC, to the second."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def check_price(priced: Priced, most: int) -> None:
    """Refuse what costs more than any operation may; raises TooComplex."""
    if priced.estimate > most:
        raise too_dear(priced.estimate, most)


def too_dear(requested: int, most: int) -> TooComplex:
    """The fault of an operation that costs more than any may."""
    issue = f"requested {requested} points, limit {most}"
    return TooComplex(
        f"The operation costs too much: {issue}. Ask for smaller pages, or less beneath them.", (("cost", issue),)
    )


def actual_cost(priced: Priced, result: Any) -> int:
    """What an answer has cost: nothing if nothing ran, and no less than was charged if anything failed."""
    if type(result) is Planned and not result.errors:
        return points(result.spent)
    if not isinstance(result, ExecutionResult) and not hasattr(result, "data"):
        return priced.estimate
    if is_request_error(result.errors):
        return 0
    actual = points(result.spent) if isinstance(result, Planned | Event) else priced.actual(result.data)
    return max(actual, priced.estimate) if result.errors else actual
