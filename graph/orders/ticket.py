"""What an order asks for, as inputs give it."""

from decimal import Decimal

from strawberry import ID

from domain.orders import OrderKind, Side, TimeInForce
from graph.described import input_


@input_
class TicketInput:
    """What an order asks for.

    portfolio_id: The portfolio to trade for.
    instrument_id: What to buy or sell.
    side: Whether to buy or to sell.
    kind: At which price to trade; funds trade at the next net asset value, as MARKET.
    time_in_force: How long the order stands.
    quantity: How many units: a multiple of the instrument's lot, above zero.
    amount: For funds, instead of a quantity: the amount in the instrument's currency, charges included.
    limit_price: For a LIMIT order, the worst price to trade at: a multiple of the instrument's tick.
    """

    portfolio_id: ID
    instrument_id: ID
    side: Side
    kind: OrderKind = OrderKind.MARKET
    time_in_force: TimeInForce = TimeInForce.DAY
    quantity: Decimal | None = None
    amount: Decimal | None = None
    limit_price: Decimal | None = None
