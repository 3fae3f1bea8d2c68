"""What tools tell of: facts as compact text, which models read as JSON, and the embedded one by these very shapes.

Numbers are plain decimal texts, null where they are not known; days are dates, and ids are those that clients see.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from domain.assistant.models import Focus
from domain.clients import Client
from domain.instruments import Instrument
from domain.money import money_rounded, number_stored, price_rounded, quantity_rounded
from domain.portfolios import Portfolio
from domain.refs import Ref

# What a tool tells of at most: more would cost the model more than it says.
MOST_ROWS: Final = 50
# What it counts at most: a count tells of clients too, and whoever is counted is named.
MOST_COUNTED: Final = 200


class Named(msgspec.Struct, frozen=True):
    """An object by its id and its name."""

    id: str
    name: str


class Whose(msgspec.Struct, frozen=True):
    """A client, and that portfolio of it which alone is spoken of; null for all."""

    client: Named
    portfolio: Named | None

    @property
    def name(self) -> str:
        """Whose it is, in words."""
        return f"{self.client.name}, {self.portfolio.name}" if self.portfolio else self.client.name


class ClientFact(msgspec.Struct, frozen=True):
    """A client; `book` is the name of the book it is in, null where the viewer sees none."""

    id: str
    name: str
    kind: str
    segment: str
    status: str
    kyc_status: str
    kyc_expires_on: date | None
    risk_profile: str | None
    currency: str
    book: str | None


class ClientFacts(msgspec.Struct, frozen=True):
    """The clients that the words of a search find: how many, and the first of them; `more`, if not all are counted."""

    text: str
    total: int
    left_out: int
    more: bool
    clients: tuple[ClientFact, ...]


class PositionFact(msgspec.Struct, frozen=True):
    """A holding: costs and prices in `currency`, what ends in `_base` in the currency of the totals.

    `weight` is a fraction of the value with cash.
    """

    id: str
    symbol: str
    name: str
    quantity: str
    currency: str
    average_cost: str | None
    price: str | None
    priced_on: date | None
    market_value: str | None
    market_value_base: str | None
    fx_on: date | None
    unrealised_gain_base: str | None
    weight: str | None


class ClassFact(msgspec.Struct, frozen=True):
    """What an asset class has of a whole: in the currency of the totals, and as a fraction."""

    asset_class: str
    value: str | None
    weight: str | None


class HoldingsFacts(msgspec.Struct, frozen=True):
    """What a client or a portfolio holds, in `currency`; `prices_as_of` and `rates_as_of` are the oldest days used.

    Where a price or a rate is missing, it is named, and what rests on it is null.
    """

    whose: Whose
    portfolios: tuple[Named, ...]
    as_of: date
    currency: str
    value: str | None
    cash: str | None
    invested: str | None
    unrealised_gain: str | None
    prices_as_of: date | None
    rates_as_of: date | None
    missing_prices: tuple[str, ...]
    missing_rates: tuple[str, ...]
    by_asset_class: tuple[ClassFact, ...]
    positions: tuple[PositionFact, ...]
    left_out: int


class OrderFact(msgspec.Struct, frozen=True):
    """An order, with amounts in `currency`."""

    id: str
    client: Named
    portfolio: Named
    side: str
    symbol: str
    instrument: str
    kind: str
    quantity: str | None
    amount: str | None
    limit_price: str | None
    currency: str
    notional: str
    status: str
    filled_quantity: str
    average_price: str | None
    placed_at: datetime
    trades_on: date


class OrdersFacts(msgspec.Struct, frozen=True):
    """The latest orders of somebody; where `whose` is null, those that the viewer has placed or, a client, has.

    With `more`, not all are counted in `total`.
    """

    whose: Whose | None
    statuses: tuple[str, ...]
    open_only: bool
    total: int
    left_out: int
    more: bool
    orders: tuple[OrderFact, ...]


class BalanceFact(msgspec.Struct, frozen=True):
    """The cash of a portfolio in a currency, or of all of them where it is null.

    `available` is the `total` by trade date, less what open orders reserve.
    """

    portfolio: Named | None
    currency: str
    settled: str
    unsettled: str
    total: str
    reserved: str
    available: str


class CashFacts(msgspec.Struct, frozen=True):
    """The cash of a client or a portfolio on a day: in all, by currency, and by portfolio and currency."""

    whose: Whose
    as_of: date
    totals: tuple[BalanceFact, ...]
    balances: tuple[BalanceFact, ...]
    left_out: int


class CloseFact(msgspec.Struct, frozen=True):
    """A closing price as the exchange has reported it."""

    on: date
    close: str


class PricesFacts(msgspec.Struct, frozen=True):
    """The closing prices of an instrument, in `currency`, the oldest first.

    `change` and `change_fraction` lead from the close before the last one to that, and `splits` are not adjusted for.
    """

    instrument: Named
    symbol: str
    isin: str
    exchange: str
    status: str
    currency: str
    last: CloseFact | None
    change: str | None
    change_fraction: str | None
    closes: tuple[CloseFact, ...]
    left_out: int


def told(facts: msgspec.Struct) -> dict[str, Any]:
    """Facts as a model reads them: what JSON has, and nothing else."""
    return msgspec.json.decode(msgspec.json.encode(facts), type=dict[str, Any])


def ref(kind: str, row_id: UUID) -> str:
    """An id as clients see it."""
    return str(Ref(kind, row_id))


def named(kind: str, row: Client | Portfolio | Instrument) -> Named:
    """An object by its id and its name."""
    return Named(ref(kind, row.id), row.name)


def focus_on(kind: str, row: Client | Portfolio | Instrument) -> Focus:
    """An object as one that is spoken of."""
    return Focus(Ref(kind, row.id), row.name)


def money(amount: Decimal | None, currency: str) -> str | None:
    """An amount with the places of its currency, half up."""
    return None if amount is None else f"{money_rounded(amount, currency):f}"


def sum_of(amount: Decimal, currency: str) -> str:
    """The same of an amount that is known."""
    return f"{money_rounded(amount, currency):f}"


def price(amount: Decimal | None) -> str | None:
    """A price of one unit, with at most 4 places."""
    return None if amount is None else plain(price_rounded(amount))


def quantity(units: Decimal | None) -> str | None:
    """A number of units, with at most 6 places."""
    return None if units is None else plain(quantity_rounded(units))


def fraction(share: Decimal | None) -> str | None:
    """A fraction, with at most 10 places."""
    return None if share is None else plain(number_stored(share))


def plain(number: Decimal) -> str:
    """A number without an exponent, and without zeros at its end."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
