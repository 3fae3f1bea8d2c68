"""The orders behind the trades of the ledger: filled as a whole, ended in part, or still working for the rest."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Final
from uuid import UUID

from domain.demo.days import LAST
from domain.demo.groups import IN_A_HALF
from domain.demo.listings import Listing
from domain.demo.orders import SECOND, SINCE, Pad, Trail
from domain.demo.script import SCRIPTED
from domain.ledger import TRADES, Transaction
from domain.orders.entities import Attention, OrderKind, OrderStatus, Side, TimeInForce
from domain.orders.terms import Ticket

_ORDERED: Final = 0.38  # of the trades; the others were reported by the custodian alone
_LIMITED: Final = 0.35
_ENDED_IN_PART: Final = 0.03
_STILL_WORKING: Final = 0.5  # of those whose price has left their limit behind
_RECENT: Final = LAST - 60
_GUIDE: Final = 2 * IN_A_HALF  # the portfolios of the first group, whose trades were all ordered
_LONGEST_WAIT: Final = 7
_GONE: Final = 1.04  # by how much the price has left the limit of what is still open
_UNANSWERED: Final = "The broker has not answered; it is asked again."
RETRIED: Final = "The broker had not answered; filled at the second attempt."


class Trade:
    """Entries of one side of an instrument that stand next to each other on one day, in order."""

    def __init__(self, pad: Pad, entries: Sequence[Transaction]) -> None:
        first = entries[0]
        self.entries = entries
        self.instrument = pad.market.by_id[_known(first.instrument_id)]
        self.listing: Listing = pad.market.listings[self.instrument.symbol]
        self.side = Side(first.kind.value)
        self.day = pad.days.number_of[first.traded_on]
        self.quantity = sum((entry.quantity or Decimal(0) for entry in entries), Decimal(0))
        self._closes = pad.market.closes[self.instrument.symbol]

    @property
    def limit(self) -> int:
        """The limit, in hundredths, that all its prices are just within."""
        prices = [int((entry.price or Decimal(0)).scaleb(2)) for entry in self.entries]
        return max(prices) if self.side is Side.BUY else min(prices)

    def misses(self, limit: int, first: int, end: int) -> bool:
        """Whether no close from a day on and before another reaches a limit."""
        return all(close > limit if self.side is Side.BUY else close < limit for close in self._closes[first:end])

    @property
    def left_behind(self) -> bool:
        """Whether the price has kept away from the limit ever since, and is some way off."""
        ratio = self._closes[LAST] / self.limit
        gone = ratio > _GONE if self.side is Side.BUY else ratio < 1 / _GONE
        return gone and self.day < LAST and self.misses(self.limit, self.day + 1, LAST + 1)


def tell_trades(pad: Pad) -> None:
    """Tell the orders behind the trades of the last year."""
    trades = list(_trades(pad))
    for trade in trades:
        ordered = pad.draws.random() < _ORDERED
        lot = pad.draws.random()
        if pad.number == SCRIPTED and trade is trades[-1]:
            _retried(pad, trade)
        elif trade.day > _RECENT and lot < _STILL_WORKING and trade.left_behind and _working(pad, trade):
            continue
        elif ordered or pad.number < _GUIDE:
            (_ended_in_part if lot > 1 - _ENDED_IN_PART else _filled)(pad, trade)


def _trades(pad: Pad) -> Iterator[Trade]:
    """What was traded in the last year and reported in time, entries that were taken back apart."""
    reversed_ids = {entry.reverses_id for entry in pad.file.entries}
    traded = [
        entry
        for entry in pad.file.entries
        if entry.kind in TRADES
        and entry.id not in reversed_ids
        and pad.days.number_of[entry.traded_on] >= SINCE
        and entry.recorded_at.date() == entry.traded_on
    ]
    for _, entries in groupby(traded, key=lambda entry: (entry.instrument_id, entry.kind, entry.traded_on)):
        trade = Trade(pad, list(entries))
        action = pad.market.actions.get(trade.instrument.symbol)
        # Around a split, prices of two kinds would be compared.
        if action is None or not action.day - 1 <= trade.day <= action.day + _LONGEST_WAIT + 1:
            yield trade


def _known(instrument_id: UUID | None) -> UUID:
    if instrument_id is None:
        raise TypeError("a trade has an instrument")
    return instrument_id


def _price(hundredths: int) -> Decimal:
    return Decimal(hundredths).scaleb(-2)


def _filled(pad: Pad, trade: Trade) -> None:
    limited = pad.draws.random() < _LIMITED
    placed_on, ticket = _limited(pad, trade) if limited else (trade.day, _at_market(pad, trade))
    count = len(trade.entries)
    waits = placed_on < trade.day
    placed, approved, *moments = pad.moments(trade.instrument, placed_on, 2 if waits else 2 + count)
    trail = pad.accepted(ticket, placed_on, placed, approved)
    if waits:
        trail.confirm(approved + SECOND)
        moments = pad.moments(trade.instrument, trade.day, count)
    _fill(trail, trade, moments)
    pad.keep(trail)


def _fill(trail: Trail, trade: Trade, moments: Sequence[datetime]) -> None:
    for entry, at in zip(trade.entries, moments, strict=True):
        trail.fill(entry, at)


def _at_market(pad: Pad, trade: Trade) -> Ticket:
    return pad.ticket(trade.instrument, trade.side, quantity=trade.quantity)


def _limited(pad: Pad, trade: Trade) -> tuple[int, Ticket]:
    """A limit order, and the day on which it was placed: some wait until the price comes to them."""
    tick, slack = trade.listing.tick, pad.draws.randrange(5)
    if trade.side is Side.BUY:
        limit = -(-trade.limit * (1000 + slack) // 1000 // tick) * tick
    else:
        limit = max(trade.limit * (1000 - slack) // 1000 // tick, 1) * tick
    first = max(trade.day - pad.draws.randrange(_LONGEST_WAIT), _earliest(pad, trade))
    waits = first < trade.day and trade.misses(limit, first, trade.day)
    till_cancelled = waits or pad.draws.randrange(3) == 0
    ticket = _limit_ticket(pad, trade, limit, trade.quantity, till_cancelled=till_cancelled)
    return first if waits else trade.day, ticket


def _earliest(pad: Pad, trade: Trade) -> int:
    """The first day on which the order could have been placed."""
    held = pad.held_since(trade.instrument.id) if trade.side is Side.SELL else 0
    return max(pad.file.plan.opened + 1, held + 1)


def _limit_ticket(pad: Pad, trade: Trade, limit: int, quantity: Decimal, *, till_cancelled: bool) -> Ticket:
    return pad.ticket(
        trade.instrument,
        trade.side,
        kind=OrderKind.LIMIT,
        time_in_force=TimeInForce.GTC if till_cancelled else TimeInForce.DAY,
        quantity=quantity,
        limit_price=_price(limit),
    )


def _larger(pad: Pad, trade: Trade) -> Decimal:
    """A quantity of which the trade is a part."""
    lot = trade.instrument.lot_size
    parts = trade.quantity * pad.draws.randint(3, 7) // 2
    return max(parts // lot * lot, trade.quantity // lot * lot + lot)


def _ended_in_part(pad: Pad, trade: Trade) -> None:
    """Filled in part, and then cancelled, or over with the session."""
    expires = pad.draws.randrange(2) == 0
    ticket = _limit_ticket(pad, trade, trade.limit, _larger(pad, trade), till_cancelled=not expires)
    placed, approved, *moments, ended = pad.moments(trade.instrument, trade.day, 3 + len(trade.entries))
    trail = pad.accepted(ticket, trade.day, placed, approved)
    _fill(trail, trade, moments)
    if expires:
        over = trail.order.expires_at + 20 * SECOND
        trail.go(OrderStatus.PARTIALLY_FILLED, over, told=False, ending=OrderStatus.EXPIRED)
        trail.go(OrderStatus.EXPIRED, over + SECOND)
    else:
        trail.go(OrderStatus.PARTIALLY_FILLED, ended + 2 * SECOND, ending=OrderStatus.CANCELLED)
        trail.go(OrderStatus.CANCELLED, ended + 3 * SECOND)
    pad.keep(trail)


def _working(pad: Pad, trade: Trade) -> bool:
    """Filled in part, and waiting for the price to come back; tells whether the portfolio can have such an order."""
    if not pad.in_standing or not (trade.side is Side.SELL or pad.suits(trade.instrument)):
        return False
    ticket = _limit_ticket(pad, trade, trade.limit, _larger(pad, trade), till_cancelled=True)
    placed, approved, *moments = pad.moments(trade.instrument, trade.day, 2 + len(trade.entries))
    trail = pad.accepted(ticket, trade.day, placed, approved, is_open=True)
    _fill(trail, trade, moments)
    return pad.keep(trail)


def _retried(pad: Pad, trade: Trade) -> None:
    """The broker did not answer at first, and the order was sent again."""
    placed, approved = pad.moments(trade.instrument, trade.day, 2)
    trail = pad.accepted(_at_market(pad, trade), trade.day, placed, approved)
    at = trail.order.approved_at or placed
    trail.go(OrderStatus.SUBMITTED, at + timedelta(seconds=10), attention=Attention.NO_ANSWER, reason=_UNANSWERED)
    for entry in trade.entries:
        trail.fill(entry, at + timedelta(seconds=24), reason=RETRIED)
    pad.keep(trail)
