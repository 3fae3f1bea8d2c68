"""What an order would come to, without placing it."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import strawberry

from domain import orders
from domain.errors import RefusalCode
from domain.money import Money as DomainMoney
from domain.money import as_currency
from domain.orders.preview import CheckResult, Shift
from domain.valuation import AssetClass
from graph.batching import batched
from graph.context import Info
from graph.cost import cost, sized
from graph.described import enum, input_, type_
from graph.inputs import into
from graph.instruments import ClosingPrice, Instrument
from graph.mutations import UserError
from graph.nodes import OfEntity
from graph.orders.ticket import TicketInput
from graph.scalars import Money, money
from graph.valuation import fraction
from persistence.instruments import Instruments


@enum
class OrderCheck(StrEnum):
    """What an order is checked for before it is accepted.

    FORM: That it is for a quantity or, of a fund, for an amount, and has a limit if it is a limit order.
    SIZE: That quantity, amount and limit are above zero and can be stored.
    PLACES: That an amount has no fraction that its currency does not have.
    TRADED: That the instrument is traded and has a price.
    VALUE: That its value can be kept.
    LOT: That the quantity is a multiple of the instrument's lot.
    TICK: That the limit is a multiple of the instrument's tick.
    STANDING: That the client is an active one.
    KYC: That the client's KYC is verified and has not run out.
    SUITABILITY: That the instrument is not riskier than the client's risk profile allows.
    COVER: That there is enough cash, or that enough is held, less what open orders reserve.
    """

    FORM = "FORM"
    SIZE = "SIZE"
    PLACES = "PLACES"
    TRADED = "TRADED"
    VALUE = "VALUE"
    LOT = "LOT"
    TICK = "TICK"
    STANDING = "STANDING"
    KYC = "KYC"
    SUITABILITY = "SUITABILITY"
    COVER = "COVER"


@input_
class PreviewOrderInput(TicketInput):
    """What is asked about: an order as it would be placed."""


@type_
class OrderCheckResult(OfEntity):
    """What a check of an order has found."""

    entity = CheckResult

    @strawberry.field(description="What was checked.")
    def check(self: "CheckResult") -> OrderCheck:
        """The check."""
        return OrderCheck(self.name)

    @strawberry.field(description="Whether it passed.")
    def passed(self: "CheckResult") -> bool:
        """Whether it passed."""
        return self.refusal is None

    @strawberry.field(description="Why it did not pass, as the refusal of placing it would say.")
    def error(self: "CheckResult") -> UserError | None:
        """The refusal."""
        if self.refusal is None:
            return None
        return UserError(
            code=RefusalCode(self.refusal.code), message=self.refusal.message, field=list(self.refusal.field)
        )


@type_
class AllocationShift(OfEntity):
    """What an order does to the weight of an asset class, as fractions of the portfolio's value with cash.

    asset_class: The asset class.
    """

    entity = Shift

    asset_class: AssetClass
    before = fraction("before", "Its weight as things stand; none if it is not held, or cannot be known.")
    after = fraction("after", "Its weight with the order filled; none if it is not held then, or cannot be known.")


def _estimated(name: str, description: str) -> Any:
    def resolve(root: orders.Preview) -> DomainMoney | None:
        value = getattr(root.estimate, name, None)
        return None if value is None else DomainMoney(value, as_currency(root.currency))

    return strawberry.field(resolver=resolve, description=description, graphql_type=Money | None)


@type_
class OrderPreview(OfEntity):
    """What an order would come to at the last price or its limit; nothing is placed and nothing reserved.

    price: The last closing price; none if there is none.
    checks: What it is checked for, and what was found; where the form is wrong, the other checks are left out.
    accepted: Whether it would be accepted as things stand.
    needs_approval: Whether it would wait for somebody else's approval.
    quantity_available: The units that the portfolio holds, less what open orders are to sell.
    trades_on: The day of the market's session that it would trade in.
    settles_on: The day on which the cash would move, by the market's calendar.
    expires_at: When what is not filled by then would expire.
    """

    entity = orders.Preview

    price: ClosingPrice | None
    checks: list[OrderCheckResult] = sized(12)
    accepted: bool
    needs_approval: bool
    quantity_available: Decimal
    trades_on: date
    settles_on: date
    expires_at: datetime
    weight_before = fraction(
        "weight_before", "The instrument's weight as things stand, as a fraction; none if it cannot be known."
    )
    weight_after = fraction("weight_after", "The instrument's weight with the order filled, likewise.")
    notional = _estimated("notional", "What it would be worth, charges apart.")
    cash_effect = _estimated("cash", "What it would do to cash, charges included: below zero for a purchase.")
    reserved = _estimated("reserved_cash", "The cash that it would reserve, with a margin for the market.")
    cash_available = money("cash_available", "currency", "The cash in its currency, less what open orders reserve.")
    instrument: Instrument = batched(
        Instruments.by_ids, key="instrument_id", by="id", description="What would be bought or sold."
    )

    @strawberry.field(
        description="What the trade would cost beside its price; none if that cannot be estimated.",
        graphql_type=Money | None,
    )
    def charges(self: orders.Preview) -> DomainMoney | None:
        """All charges together."""
        return DomainMoney(self.estimate.charges.total, as_currency(self.currency)) if self.estimate else None

    @strawberry.field(
        description="How many units it would trade; for an order by amount, about so many.",
        graphql_type=Decimal | None,
    )
    def quantity(self: orders.Preview) -> Decimal | None:
        """The units."""
        return self.estimate.quantity if self.estimate else None

    @strawberry.field(
        description="What it would do to the allocation by asset class.",
        graphql_type=list[AllocationShift],
        metadata=cost(size=6),
    )
    def allocation(self: orders.Preview) -> tuple[Shift, ...]:
        """The weights before and after."""
        return self.shifts


@strawberry.type
class PreviewQueries:
    """Queries of orders that are not placed."""

    @strawberry.field(
        description="What an order would cost, which checks it would pass, and what it would do to the allocation.",
        graphql_type=OrderPreview | None,
        metadata=cost(20),
    )
    async def preview_order(
        self,
        info: Info,
        input: Annotated[PreviewOrderInput, strawberry.argument(description="The order as it would be placed.")],
    ) -> orders.Preview:
        """Work it out; raises NotFound for what there is not."""
        ticket, limits = into(orders.Ticket, input), info.context.services.approval_limits
        return await info.context.write(orders.preview, limits, ticket)
