"""Keeping one portfolio's ledger while its story is told: entries by the ledger's rules, cash and holdings at hand."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from domain.demo.chance import chance
from domain.demo.days import LAST, Days
from domain.demo.ids import RANDOM_BITS, stamped
from domain.demo.listings import Listing
from domain.demo.market import CorporateAction, Market
from domain.ledger import Entry, Transaction, TransactionKind, booked, reversal
from domain.portfolios import Portfolio

_EVENING: Final = 45_000_000  # 12:30 in UTC, after the Indian market has closed, as milliseconds of the day
_HOUR: Final = 3_600
_LAKH: Final = 100_000
# What a purchase costs at most, charges included, as a fraction of its price, by ten thousand.
_DEAREST: Final = 10_080
_WHOLE: Final = 10_000

# All as parts of a hundred thousand of the trade's value.
_BROKERAGE: Final = 100
_TRANSACTION_TAX: Final = 100
_INDIAN_STAMP: Final = 15
_BRITISH_STAMP: Final = 500
_EXCHANGE: Final = 3
_SERVICE_TAX: Final = 18_000  # of the brokerage


def hundredths(amount: int) -> Decimal:
    """An amount of so many hundredths."""
    return Decimal(amount).scaleb(-2)


def _part(amount: int, rate: int) -> int:
    """So many parts of a hundred thousand, rounded half up."""
    return (amount * rate + _LAKH // 2) // _LAKH


class Bookkeeper:
    """Writes the entries of one portfolio. Amounts are in hundredths, quantities whole, `day` is the story's day."""

    def __init__(
        self, portfolio: Portfolio, number: int, market: Market, days: Days, *, custodian: UUID, advisor: UUID
    ) -> None:
        self.portfolio = portfolio
        self.market = market
        self.day = 0
        self.entries: list[Transaction] = []
        self.cash: dict[str, int] = {}
        self.held: dict[str, int] = {}
        self._days = days
        self._custodian = custodian
        self._advisor = advisor
        self._draws = chance("entries", number)
        self._clock = _EVENING + self._draws.randrange(_HOUR) * 1000

    def deposit(self, currency: str, amount: int) -> None:
        """The client puts cash in."""
        self._cash_entry(TransactionKind.DEPOSIT, currency, amount, reference=self._reference("UTR"))

    def withdraw(self, currency: str, amount: int) -> None:
        """The client takes cash out."""
        self._cash_entry(TransactionKind.WITHDRAWAL, currency, amount, reference=self._reference("UTR"))

    def interest(self, currency: str, amount: int) -> None:
        """The balance bears interest."""
        self._cash_entry(TransactionKind.INTEREST, currency, amount, note="Interest on the balance")

    def fee(self, currency: str, amount: int) -> None:
        """The firm takes its fee."""
        self._cash_entry(TransactionKind.FEE, currency, amount, by=self._advisor, note="Advisory fee")

    def tax(self, symbol: str, amount: int) -> None:
        """Tax is deducted from a dividend."""
        instrument = self._listing(symbol).instrument
        self._cash_entry(
            TransactionKind.TAX, instrument.currency, amount, instrument_id=instrument.id, note="Deducted at source"
        )

    def buy(self, symbol: str, budget: int, late: int = 0) -> bool:
        """Buy what the budget and the cash pay for, charges included; tells whether that was anything."""
        listing = self._listing(symbol)
        instrument = listing.instrument
        price = self._price(listing)
        lot = int(instrument.lot_size)
        affordable = min(budget, self.cash.get(instrument.currency, 0)) * _WHOLE // (price * _DEAREST)
        quantity = affordable // lot * lot
        if quantity < 1:
            return False
        self._trade(TransactionKind.BUY, listing, quantity, price, late)
        return True

    def sell(self, symbol: str, quantity: int) -> bool:
        """Sell whole lots; tells whether there was one."""
        listing = self._listing(symbol)
        lot = int(listing.instrument.lot_size)
        # What a transfer or a bonus left beside whole lots goes with the last of them.
        wanted = quantity if quantity == self.held[symbol] else quantity // lot * lot
        if wanted < 1:
            return False
        self._trade(TransactionKind.SELL, listing, wanted, self._price(listing), 0)
        return True

    def dividend(self, symbol: str, late: int = 0) -> int:
        """A dividend on what is held, twice a year; gives the amount."""
        listing = self._listing(symbol)
        a_share = round(self._close(listing) * listing.dividends / 2)
        amount = a_share * self.held.get(symbol, 0)
        if amount:
            self._cash_entry(
                TransactionKind.DIVIDEND,
                listing.instrument.currency,
                amount,
                late=late,
                instrument_id=listing.instrument.id,
                note=f"{hundredths(a_share)} a unit",
            )
        return amount

    def transfer_in(self, symbol: str, quantity: int, discount: int, held_for: int) -> None:
        """Securities come from another account: at a cost so many percent below today's price, held for days."""
        listing = self._listing(symbol)
        cost = self._close(listing) * quantity * (100 - discount) // 100
        acquired_on = self._on(self.day) - timedelta(days=held_for)
        self._move(TransactionKind.TRANSFER_IN, listing, quantity, cost=hundredths(cost), acquired_on=acquired_on)
        self.held[symbol] = self.held.get(symbol, 0) + quantity

    def transfer_out(self, symbol: str) -> None:
        """All of a holding leaves for another account."""
        self._move(TransactionKind.TRANSFER_OUT, self._listing(symbol), self.held[symbol])
        self.held[symbol] = 0

    def act(self, action: CorporateAction) -> None:
        """A split or bonus of what is held."""
        listing = self._listing(action.symbol)
        instrument = listing.instrument
        self._record(
            action.kind,
            instrument.currency,
            instrument_id=instrument.id,
            ratio_new=action.new,
            ratio_old=action.old,
        )
        self.held[action.symbol] *= action.multiple

    def reverse(self, wrong: Transaction, after: int, note: str) -> Transaction:
        """Take back a wrong entry of cash or a purchase some days later, as though it had never been recorded."""
        recorded = min(self.day + after, LAST)
        taken_back = reversal(
            wrong,
            transaction_id=self._new_id(recorded),
            recorded_at=self._days.moment(recorded, self._millis),
            recorded_by=self._advisor,
            note=note,
        )
        self.cash[wrong.currency] -= int(wrong.amount.scaleb(2))
        if wrong.kind is TransactionKind.BUY and wrong.quantity is not None:
            self.held[self._symbol(wrong.instrument_id)] -= int(wrong.quantity)
        self.entries.append(taken_back)
        return taken_back

    @property
    def _millis(self) -> int:
        # A second after the entry before, so that the ledger's order is that of the story.
        return self._clock + 1000 * len(self.entries)

    def _on(self, day: int) -> date:
        return self._days.dates[day]

    def _listing(self, symbol: str) -> Listing:
        return self.market.listings[symbol]

    def _symbol(self, instrument_id: UUID | None) -> str:
        return next(symbol for symbol, known in self.market.listings.items() if known.instrument.id == instrument_id)

    def _close(self, listing: Listing) -> int:
        return self.market.closes[listing.symbol][self.day]

    def _price(self, listing: Listing) -> int:
        """A price of the day: near its close, the nearer the calmer the instrument is, in whole ticks."""
        spread = round(listing.volatility * 200)
        near = self._close(listing) * (_WHOLE + int(self._draws.uniform(-spread, spread))) // _WHOLE
        return max(near // listing.tick, 1) * listing.tick

    def _reference(self, kind: str) -> str:
        return f"{kind}{self._draws.getrandbits(40):012}"

    def _new_id(self, day: int) -> UUID:
        return stamped(day, self._millis, self._draws.getrandbits(RANDOM_BITS))

    def _trade(self, kind: TransactionKind, listing: Listing, quantity: int, price: int, late: int) -> None:
        gross = quantity * price
        brokerage, tax, stamp, other = _charges(listing, gross, buying=kind is TransactionKind.BUY)
        self._move(
            kind,
            listing,
            quantity,
            late=late,
            price=hundredths(price),
            brokerage=hundredths(brokerage),
            transaction_tax=hundredths(tax),
            stamp_duty=hundredths(stamp),
            other_charges=hundredths(other),
            reference=self._reference("CN"),
        )
        bought = quantity if kind is TransactionKind.BUY else -quantity
        self.held[listing.symbol] = self.held.get(listing.symbol, 0) + bought

    def _move(self, kind: TransactionKind, listing: Listing, quantity: int, late: int = 0, **details: Any) -> None:
        instrument = listing.instrument
        self._record(
            kind, instrument.currency, late, instrument_id=instrument.id, quantity=Decimal(quantity), **details
        )

    def _cash_entry(
        self,
        kind: TransactionKind,
        currency: str,
        amount: int,
        late: int = 0,
        by: UUID | None = None,
        **details: Any,
    ) -> None:
        self._record(kind, currency, late, by, amount=hundredths(amount), **details)

    def _record(
        self, kind: TransactionKind, currency: str, late: int = 0, by: UUID | None = None, **details: Any
    ) -> None:
        recorded = min(self.day + late, LAST)
        entry = Entry(
            portfolio_id=self.portfolio.id,
            kind=kind,
            currency=currency,
            traded_on=self._on(self.day),
            **details,
        )
        transaction = booked(
            entry,
            transaction_id=self._new_id(recorded),
            client_id=self.portfolio.client_id,
            book_id=self.portfolio.book_id,
            recorded_at=self._days.moment(recorded, self._millis),
            recorded_by=by or self._custodian,
        )
        self.cash[currency] = self.cash.get(currency, 0) + int(transaction.amount.scaleb(2))
        self.entries.append(transaction)


def _charges(listing: Listing, gross: int, *, buying: bool) -> tuple[int, int, int, int]:
    """Brokerage, transaction tax, stamp duty and other charges of a trade."""
    instrument = listing.instrument
    brokerage = _part(gross, _BROKERAGE)
    if instrument.exchange == "XNSE":
        tax = _part(gross, _TRANSACTION_TAX) if listing.taxed else 0
        stamp = _part(gross, _INDIAN_STAMP) if buying else 0
        return brokerage, tax, stamp, _part(brokerage, _SERVICE_TAX) + _part(gross, _EXCHANGE)
    british = buying and instrument.isin.startswith("GB")
    return brokerage, 0, _part(gross, _BRITISH_STAMP) if british else 0, 0
