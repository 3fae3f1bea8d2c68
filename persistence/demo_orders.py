"""What the demo's orders leave beside themselves: the paper broker's book of those that work, and the event log."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

from domain.demo.orders import OrderStory
from domain.entities import derived_id
from domain.orders import Order
from domain.orders.broker import BrokerStatus
from domain.orders.execution import stream_of
from persistence.events import Event
from persistence.paper_broker import PaperFill, PaperOrder


def at_broker(order: Order) -> PaperOrder:
    """A working order as the paper broker has it: all of them are by limit, or purchases by amount."""
    return PaperOrder(
        id=order.id,
        revision=order.revision,
        status=BrokerStatus.WORKING,
        instrument_id=order.instrument_id,
        side=order.side,
        quantity=order.quantity,
        amount=order.amount,
        most_units=None,
        limit_price=order.limit_price,
        trades_on=order.trades_on,
        reason=None,
        version=1,
    )


def fills_at_broker(story: OrderStory) -> Iterator[PaperFill]:
    """The fills of a working order, in the paper broker's own book."""
    for number, fill in enumerate(story.fills, 1):
        yield PaperFill(
            id=derived_id("paper fill", fill.order_id, number),
            order_id=fill.order_id,
            number=number,
            quantity=fill.quantity,
            price=fill.price,
            traded_on=fill.filled_at.date(),
            filled_at=fill.filled_at,
        )


def told_of(stories: Iterable[OrderStory], since: datetime) -> Iterator[Event]:
    """What the log still keeps of the orders, in order of time in the stream of each portfolio."""
    told = sorted(
        (step.at, step.version, story.order.id, story.order.portfolio_id, step.status)
        for story in stories
        for step in story.steps
        if step.at > since
    )
    last: Counter[str] = Counter()
    for at, version, order_id, portfolio_id, status in told:
        stream = stream_of(portfolio_id)
        last[stream] += 1
        yield Event(stream, last[stream], status.value, order_id, version, at)
