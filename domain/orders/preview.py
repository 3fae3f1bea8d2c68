"""What an order would come to, without placing it: its cost, the checks, and the effect on the allocation."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from domain.access import Action, Viewer, require
from domain.errors import Refusal
from domain.instruments import ClosingPrice, Instrument
from domain.ledger import Holding
from domain.money import ZERO, Currency, arithmetic, as_currency
from domain.orders.entities import Side
from domain.orders.terms import UNREADABLE, ApprovalLimits, Estimate, Situation, Ticket, estimate, results
from domain.orders.verbs import expiry, situation
from domain.portfolios import Portfolio
from domain.valuation import (
    AssetClass,
    Contents,
    FxQuote,
    Ledgers,
    Market,
    Owner,
    PortfolioValuation,
    Quote,
    Stored,
    appraise,
    contents_of,
)
from domain.work import Work


class CheckResult(msgspec.Struct, frozen=True):
    """A check of a ticket, and why it failed, if it did."""

    name: str
    refusal: Refusal | None


class Shift(msgspec.Struct, frozen=True):
    """An asset class's weight before and after an order, as fractions of the portfolio; null if unknown."""

    asset_class: AssetClass
    before: Decimal | None
    after: Decimal | None


class Preview(msgspec.Struct, frozen=True):
    """What an order would come to; without a price there is nothing but the checks."""

    instrument_id: UUID
    currency: str
    price: ClosingPrice | None
    estimate: Estimate | None
    checks: tuple[CheckResult, ...]
    cash_available: Decimal
    quantity_available: Decimal
    needs_approval: bool
    trades_on: date
    settles_on: date
    expires_at: datetime
    shifts: tuple[Shift, ...]
    weight_before: Decimal | None
    weight_after: Decimal | None

    @property
    def accepted(self) -> bool:
        """Whether it would be accepted as things stand."""
        return all(check.refusal is None for check in self.checks)


async def preview(work: Work, viewer: Viewer, approval: ApprovalLimits, ticket: Ticket) -> Preview:
    """Work out what a ticket would come to; changes nothing. Raises NotFound."""
    require(viewer, Action.PLACE_ORDER)
    portfolio = await work.portfolios.one(viewer, ticket.portfolio_id)
    client = await work.clients.one(viewer, portfolio.client_id)
    # A query has no user errors, so that an instrument that there is not is what any other object would be.
    await work.instruments.one(viewer, ticket.instrument_id)
    seen = await situation(work, viewer, portfolio, client, ticket)
    checks = results(seen)
    # An amount or a limit that is none has no estimate either.
    formal = not any(refusal and name in UNREADABLE for name, refusal in checks)
    estimated = estimate(seen) if formal else None
    before, after = await _valued(work, viewer, portfolio, seen, estimated)
    calendar = await work.markets.calendar(seen.instrument.exchange)
    session = calendar.current_or_next(work.now)
    return Preview(
        instrument_id=seen.instrument.id,
        currency=seen.instrument.currency,
        price=seen.price,
        estimate=estimated,
        checks=tuple(CheckResult(name, refusal) for name, refusal in checks),
        cash_available=seen.cash,
        quantity_available=seen.held,
        needs_approval=estimated is not None and approval.reached(seen.instrument.currency, estimated.notional),
        trades_on=session.day,
        settles_on=calendar.settles_on(session.day),
        expires_at=expiry(seen, calendar, work.now),
        shifts=_shifts(before, after),
        weight_before=_weight(before, seen.instrument),
        weight_after=_weight(after, seen.instrument),
    )


async def _valued(
    work: Work, viewer: Viewer, portfolio: Portfolio, seen: Situation, estimated: Estimate | None
) -> tuple[PortfolioValuation, PortfolioValuation]:
    """The portfolio as it is worth today, and as it would be with the order filled."""
    read = await work.valuations.of_today(viewer, Owner.PORTFOLIO, [portfolio.id], seen.today)
    contents, market = _held(read, portfolio.id, seen.today)
    market = await _widened(work, viewer, market, seen)
    moved = contents if estimated is None else _with(contents, seen, estimated)
    currency = as_currency(portfolio.base_currency)
    return _appraised(contents, market, seen.today, currency), _appraised(moved, market, seen.today, currency)


def _appraised(contents: Contents, market: Market, day: date, currency: Currency) -> PortfolioValuation:
    return appraise([contents], as_of=day, currency=currency, market=market)


def _held(read: Stored | Ledgers, portfolio_id: UUID, day: date) -> tuple[Contents, Market]:
    nothing = Contents((), {}, {})
    if isinstance(read, Stored):
        return next(iter(read.contents.get(portfolio_id, ())), nothing), read.market
    ledgers = read.ledgers.get(portfolio_id, ())
    quotes = {key: closes[-1] for key, closes in read.closes.items()}
    market = Market(read.instruments, quotes, {rate.currency: rate for rate in read.rates})
    return (contents_of(ledgers[0], day) if ledgers else nothing), market


async def _widened(work: Work, viewer: Viewer, market: Market, seen: Situation) -> Market:
    """The market with what the portfolio does not hold yet."""
    quotes = dict(market.quotes)
    if seen.price is not None:
        quotes.setdefault(seen.instrument.id, Quote(seen.instrument.id, seen.price.on, seen.price.price))
    found = await work.quotes.rates(viewer, seen.today)
    rates = {rate.currency: FxQuote(rate.currency, rate.quoted_on, rate.usd) for rate in found}
    return Market({**market.instruments, seen.instrument.id: seen.instrument}, quotes, {**rates, **market.rates})


def _with(contents: Contents, seen: Situation, estimated: Estimate) -> Contents:
    """The contents with the order filled at its estimate, a sale only as far as there is something to sell."""
    instrument, buys = seen.instrument, seen.ticket.side is Side.BUY
    with arithmetic():
        held = next((each for each in contents.positions if each.instrument_id == instrument.id), None)
        before = held.quantity if held else ZERO
        traded = estimated.quantity if buys else min(estimated.quantity, before)
        quantity = before + traded if buys else before - traded
        moved_cash = estimated.cash * traded / estimated.quantity if estimated.quantity else ZERO
        cash = contents.cash.get(instrument.currency, ZERO) + moved_cash
    empty = Holding(instrument.id, ZERO, ZERO, ZERO, ZERO, ())
    moved = msgspec.structs.replace(held or empty, quantity=quantity)
    others = tuple(each for each in contents.positions if each.instrument_id != instrument.id)
    return Contents((*others, moved), {**contents.cash, instrument.currency: cash}, contents.actions)


def _shifts(before: PortfolioValuation, after: PortfolioValuation) -> tuple[Shift, ...]:
    old = {part.key: part.weight for part in before.by_asset_class}
    new = {part.key: part.weight for part in after.by_asset_class}
    return tuple(Shift(key, old.get(key), new.get(key)) for key in AssetClass if key in old or key in new)


def _weight(valued: PortfolioValuation, instrument: Instrument) -> Decimal | None:
    return valued.position(instrument.id, instrument.currency).weight
