"""Orders that have left no entry in the ledger: those that came to nothing, and those that are still open."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from domain.demo.chance import weighted
from domain.demo.days import LAST
from domain.demo.listings import FUNDS, Fund, Listing
from domain.demo.orders import APPROVAL, SECOND, SINCE, Pad, Trail
from domain.demo.sessions import CALENDARS
from domain.instruments import Instrument
from domain.orders.entities import OrderKind, OrderStatus, Side, TimeInForce
from domain.orders.terms import Ticket

_ENDED: Final = 0.3  # of the portfolios have an order that came to nothing
_PURCHASES: Final = 0.6
_CALM: Final = 0.1  # what moves less in a year has no limit that is far away
_STEP: Final = Decimal(1000)  # rupees: amounts are round
_LEAST: Final = 5 * _STEP
_OBJECTIONS: Final = (
    "Above what the client has agreed to; please call first.",
    "Too much of one share; split it over the quarter.",
    "The client's own instruction is missing.",
)
_TOO_LATE: Final = "It was not approved in its time."

Wish = Callable[[Pad], bool]


class _Deal(msgspec.Struct, frozen=True):
    """What to order, and how many units of it."""

    listing: Listing
    side: Side
    most: int

    @property
    def instrument(self) -> Instrument:
        """What is traded."""
        return self.listing.instrument


def tell_wishes(pad: Pad) -> None:
    """Tell what the advisors of a portfolio wished for beside its trades."""
    if pad.number in _GUIDE:
        for wish in _GUIDE[pad.number]:
            wish(pad)
        return
    if pad.draws.random() < _ENDED:
        weighted(pad.draws, _ENDINGS)(pad)
    for share, wish in _OPEN:
        if pad.draws.random() < share and pad.in_standing:
            wish(pad)


def _some_day(pad: Pad) -> int | None:
    """A day of the last year on which the portfolio was looked after: a late one for those of the guide."""
    first, last = max(SINCE, pad.file.plan.opened + 5), min(pad.file.plan.last, LAST - 1)
    if pad.number in _GUIDE:
        first, last = LAST - 18, LAST - 1
    return pad.draws.randint(first, last) if first <= last else None


class _Search:
    """Looks for something that a portfolio may order on a day, worth a few percent of its first deposit.

    What `is_large` needs an approval; what `is_open` is to be paid from what there is at the end of the history.
    """

    def __init__(self, pad: Pad, day: int, *, is_large: bool, is_open: bool) -> None:
        self._pad = pad
        self._day = day
        self._is_large = is_large
        self._is_open = is_open
        self._purse = pad.file.plan.purses[0]
        self._percent = pad.draws.randint(108, 150)

    def deal(self, first: Side | None = None) -> _Deal | None:
        """What was found, if anything: rather on the side that is looked for first."""
        drawn = Side.BUY if self._pad.draws.random() < _PURCHASES else Side.SELL
        for side in sorted(Side, key=lambda side: side is not (first or drawn)):
            found = [_Deal(listing, side, self._most(listing, side)) for listing in self._subjects(side)]
            if found := [deal for deal in found if deal.most]:
                return self._pad.draws.choice(found)
        return None

    def _subjects(self, side: Side) -> list[Listing]:
        """What may be bought, or what of the holdings may be sold."""
        pad = self._pad
        listings = [pad.market.listings[symbol] for symbol, _ in self._purse.shares]
        moving = [listing for listing in listings if listing.volatility >= _CALM and not self._splits(listing)]
        if side is Side.BUY:
            return [listing for listing in moving if pad.suits(listing.instrument)]
        return [listing for listing in moving if pad.held_since(listing.instrument.id) < self._day]

    def _splits(self, listing: Listing) -> bool:
        action = self._pad.market.actions.get(listing.symbol)
        return action is not None and action.day >= self._day - 1

    def _most(self, listing: Listing, side: Side) -> int:
        """How many units to order, in whole lots: none if it cannot be."""
        instrument = listing.instrument
        close, lot = self._pad.market.closes[listing.symbol][self._day - 1], int(instrument.lot_size)
        wanted = self._budget(instrument, side) // close // lot * lot
        held = int(self._pad.held.get(instrument.id, Decimal(0)))
        return wanted if side is Side.BUY or wanted <= held else 0

    def _budget(self, instrument: Instrument, side: Side) -> int:
        """How much to spend or to bring in, in hundredths."""
        limit = int(APPROVAL.limits[instrument.currency] * 100)
        cash = int(self._pad.cash.get(instrument.currency, Decimal(0)) * 100)
        # A large one is some way above the limit, so that it still is at the next price.
        budget = limit * self._percent // 100 if self._is_large else min(self._purse.deposit // 30, limit * 9 // 10)
        if side is Side.SELL:
            return budget
        if self._is_large:
            return budget if budget * 10 <= (cash * 8 if self._is_open else self._purse.deposit * 5) else 0
        return min(budget, cash // 3) if self._is_open else budget


def _deal(
    pad: Pad, day: int, first: Side | None = None, *, is_large: bool = False, is_open: bool = False
) -> _Deal | None:
    return _Search(pad, day, is_large=is_large, is_open=is_open).deal(first)


def _limit(pad: Pad, deal: _Deal, first: int, last: int, permille: int) -> Decimal:
    """A limit that no close from the day before the first to the last day reaches, by so much."""
    closes, tick = pad.market.closes[deal.listing.symbol][first - 1 : last + 1], deal.listing.tick
    if deal.side is Side.BUY:
        limit = max(min(closes) * (1000 - permille) // 1000 // tick, 1) * tick
    else:
        limit = -(-max(closes) * (1000 + permille) // 1000 // tick) * tick
    return Decimal(limit).scaleb(-2)


def _limited(pad: Pad, deal: _Deal, limit: Decimal, *, till_cancelled: bool) -> Ticket:
    return pad.ticket(
        deal.instrument,
        deal.side,
        kind=OrderKind.LIMIT,
        time_in_force=TimeInForce.GTC if till_cancelled else TimeInForce.DAY,
        quantity=Decimal(deal.most),
        limit_price=limit,
    )


def _expired(pad: Pad) -> bool:
    """A limit of one day that the price did not come to."""
    day = _some_day(pad)
    if day is None or (deal := _deal(pad, day)) is None:
        return False
    ticket = _limited(pad, deal, _limit(pad, deal, day, day, pad.draws.randint(5, 25)), till_cancelled=False)
    placed, approved = pad.moments(deal.instrument, day, 2)
    trail = pad.accepted(ticket, day, placed, approved)
    trail.confirm(approved + SECOND)
    over = trail.order.expires_at + 20 * SECOND
    trail.go(OrderStatus.SUBMITTED, over, told=False, ending=OrderStatus.EXPIRED)
    trail.go(OrderStatus.EXPIRED, over + SECOND)
    return pad.keep(trail)


def _cancelled(pad: Pad) -> bool:
    """A limit that was given up after a few days."""
    day = _some_day(pad)
    if day is None or (deal := _deal(pad, day)) is None:
        return False
    end = min(day + pad.draws.randint(1, 9), LAST)
    ticket = _limited(pad, deal, _limit(pad, deal, day, end, pad.draws.randint(5, 25)), till_cancelled=True)
    placed, approved = pad.moments(deal.instrument, day, 2)
    trail = pad.accepted(ticket, day, placed, approved)
    trail.confirm(approved + SECOND)
    _give_up(trail, pad.moments(deal.instrument, end, 1)[0])
    return pad.keep(trail)


def _give_up(trail: Trail, at: datetime) -> None:
    trail.go(OrderStatus.SUBMITTED, at, ending=OrderStatus.CANCELLED)
    trail.go(OrderStatus.CANCELLED, at + SECOND)


def _amount(pad: Pad) -> tuple[Fund, Decimal] | None:
    """A fund that suits the client, and what to put into it: at most a fourth of the cash, and a twentieth at first."""
    funds = [fund for fund in FUNDS if pad.suits(fund.instrument)]
    deposit = Decimal(pad.file.plan.purses[0].deposit).scaleb(-2)
    cash = pad.cash.get("INR", Decimal(0))
    most = min(cash / 4, deposit / 20, APPROVAL.limits["INR"] * 9 / 10) // _STEP * _STEP
    if not funds or pad.file.plan.portfolio.base_currency != "INR" or most < _LEAST:
        return None
    return pad.draws.choice(funds), most


def _fund_cancelled(pad: Pad) -> bool:
    """A fund order that was given up before its net asset value was stated."""
    day, found = _some_day(pad), _amount(pad)
    if day is None or found is None:
        return False
    ticket = pad.ticket(found[0].instrument, Side.BUY, amount=found[1])
    placed, approved, ended = pad.moments(found[0].instrument, day, 3)
    trail = pad.accepted(ticket, day, placed, approved)
    trail.confirm(approved + SECOND)
    _give_up(trail, ended + 2 * SECOND)
    return pad.keep(trail)


def _declined_by_broker(pad: Pad) -> bool:
    """An order for what the broker could not deal in on that day."""
    day = _some_day(pad)
    if day is None or (deal := _deal(pad, day)) is None:
        return False
    ticket = pad.ticket(deal.instrument, deal.side, quantity=Decimal(deal.most))
    placed, approved = pad.moments(deal.instrument, day, 2)
    trail = pad.accepted(ticket, day, placed, approved)
    reason = f"Trading in {deal.listing.symbol} is suspended."
    at = (trail.order.approved_at or placed) + 2 * SECOND
    trail.go(OrderStatus.REJECTED, at, sent_revision=1, reason=reason)
    return pad.keep(trail)


def _large(pad: Pad, day: int | None) -> tuple[int, _Deal] | None:
    if day is None or (deal := _deal(pad, day, is_large=True)) is None:
        return None
    return day, deal


def _declined_by_supervisor(pad: Pad) -> bool:
    """A large order that was not approved."""
    found = _large(pad, _some_day(pad))
    if found is None:
        return False
    day, deal = found
    placed, declined = pad.moments(deal.instrument, day, 2)
    trail = pad.trail(pad.ticket(deal.instrument, deal.side, quantity=Decimal(deal.most)), day, placed)
    trail.accept(OrderStatus.PENDING_APPROVAL)
    trail.go(OrderStatus.REJECTED, declined, reason=pad.draws.choice(_OBJECTIONS))
    return pad.keep(trail)


def _not_approved(pad: Pad) -> bool:
    """A large order that nobody approved before the session was over."""
    found = _large(pad, _some_day(pad))
    if found is None:
        return False
    day, deal = found
    (placed,) = pad.moments(deal.instrument, day, 1)
    trail = pad.trail(pad.ticket(deal.instrument, deal.side, quantity=Decimal(deal.most)), day, placed)
    trail.accept(OrderStatus.PENDING_APPROVAL)
    trail.go(OrderStatus.EXPIRED, trail.order.expires_at + 20 * SECOND, reason=_TOO_LATE)
    return pad.keep(trail)


def _lately(pad: Pad, days: int) -> int:
    """One of the last days of the history."""
    return LAST - pad.draws.randrange(days)


def _waiting(pad: Pad, side: Side | None = None) -> bool:
    """A limit that is so far away that it is still waited for."""
    day = _lately(pad, 40)
    if (deal := _deal(pad, day, side, is_open=True)) is None:
        return False
    ticket = _limited(pad, deal, _limit(pad, deal, day, LAST, pad.draws.randint(80, 200)), till_cancelled=True)
    placed, approved = pad.moments(deal.instrument, day, 2)
    trail = pad.accepted(ticket, day, placed, approved, is_open=True)
    trail.confirm(approved + SECOND)
    return pad.keep(trail)


def _fund_waiting(pad: Pad) -> bool:
    """A fund order that waits for the next net asset value: placed since the last session was over."""
    if (found := _amount(pad)) is None:
        return False
    ticket = pad.ticket(found[0].instrument, Side.BUY, amount=found[1])
    closed = CALENDARS["XNSE"].last_closed(pad.days.now)
    if closed is None:
        raise TypeError("there is a session in every week")
    placed = closed.closes_at + min((pad.days.now - closed.closes_at) / 2, timedelta(hours=2))
    trail = pad.accepted(ticket, LAST + 1, placed, placed, is_open=True)
    trail.confirm(placed + SECOND)
    return pad.keep(trail)


def _draft(pad: Pad) -> bool:
    """Prepared, and not yet placed."""
    day = _lately(pad, 8)
    if (deal := _deal(pad, day, is_open=True)) is None:
        return False
    ticket = pad.ticket(deal.instrument, deal.side, quantity=Decimal(deal.most))
    if pad.draws.randrange(2):
        limit = _limit(pad, deal, day, day, pad.draws.randint(5, 25))
        ticket = _limited(pad, deal, limit, till_cancelled=pad.draws.randrange(2) == 0)
    trail = pad.trail(ticket, day, pad.moments(deal.instrument, day, 1)[0])
    trail.go(OrderStatus.DRAFT, trail.order.placed_at)
    return pad.keep(trail)


def _pending(pad: Pad, side: Side | None = None) -> bool:
    """Large, and waiting for its approval: good till cancelled, so that it can wait."""
    day = _lately(pad, 5)
    deal = _deal(pad, day, side, is_large=True, is_open=True)
    if deal is None:
        return False
    ticket = pad.ticket(deal.instrument, deal.side, time_in_force=TimeInForce.GTC, quantity=Decimal(deal.most))
    trail = pad.trail(ticket, day, pad.moments(deal.instrument, day, 1)[0], is_open=True)
    trail.accept(OrderStatus.PENDING_APPROVAL)
    return pad.keep(trail)


def _waiting_purchase(pad: Pad) -> bool:
    return _waiting(pad, Side.BUY)


def _pending_purchase(pad: Pad) -> bool:
    return _pending(pad, Side.BUY)


_ENDINGS: Final[tuple[tuple[int, Wish], ...]] = (
    (30, _expired),
    (30, _cancelled),
    (8, _fund_cancelled),
    (12, _declined_by_broker),
    (12, _declined_by_supervisor),
    (8, _not_approved),
)
# How many of the portfolios have one, if they can.
_OPEN: Final[tuple[tuple[float, Wish], ...]] = (
    (0.07, _waiting),
    (0.03, _draft),
    (0.15, _pending),
    (0.003, _fund_waiting),
)
# What the portfolios of the first clients, which the guide speaks of, have in any case.
_GUIDE: Final[Mapping[int, tuple[Wish, ...]]] = {
    0: (_waiting_purchase, _draft),
    1: (_fund_waiting, _expired),
    2: (_cancelled, _declined_by_broker),
    3: (_pending,),
    4: (_declined_by_supervisor, _fund_cancelled),
    5: (_waiting, _expired),
    6: (_not_approved, _cancelled),
    7: (_draft,),
    8: (_pending_purchase, _waiting),
    9: (_pending,),
    15: (_fund_waiting,),
    16: (_pending_purchase,),
}
