"""Where closing prices and rates come from: a gateway to a vendor, and the embedded one that simulates a market."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import Final, Protocol

import msgspec

from domain.instruments import FxRate, Instrument, InstrumentKind, Price
from domain.money import AMOUNT, NUMBER, arithmetic
from domain.valuation import PIVOT, AssetClass

_DAYS_A_YEAR: Final = 261
# The standard deviation of the sum of four uniform draws is the root of a third.
_UNIT: Final = 3**0.5
_WHOLE: Final = Decimal(1)

# By how much prices of a class move in a year, as a fraction.
_VOLATILITY: Final[Mapping[AssetClass, float]] = {
    AssetClass.EQUITY: 0.24,
    AssetClass.DEBT: 0.04,
    AssetClass.GOLD: 0.15,
    AssetClass.REAL_ESTATE: 0.16,
    AssetClass.COMMODITY: 0.18,
    AssetClass.ALTERNATIVE: 0.14,
    AssetClass.CASH: 0.002,
}
_RATE_VOLATILITY: Final = 0.05


class Quoted(msgspec.Struct, frozen=True):
    """An instrument with its last close, if it ever had one."""

    instrument: Instrument
    priced_on: date | None
    close: Decimal | None


class MarketData(Protocol):
    """A vendor of closing prices and of FX rates, asked by jobs once a session has closed, never in a transaction."""

    async def closes(self, instruments: Sequence[Quoted], day: date) -> Sequence[Price]:
        """The closes of a day; an instrument that the vendor has none of is left out."""
        ...

    async def rates(self, last: Sequence[FxRate], day: date) -> Sequence[FxRate]:
        """The rates of a day for the currencies of the last ones; one that the vendor does not know is left out."""
        ...


class SimulatedMarket:
    """The embedded gateway: each close is a step of chance from the last one, and the same whenever it is asked."""

    async def closes(self, instruments: Sequence[Quoted], day: date) -> Sequence[Price]:
        """A close for each instrument that had one before."""
        return [
            Price(quoted.instrument.id, day, _next_close(quoted.instrument, quoted.close, day))
            for quoted in instruments
            if quoted.close is not None
        ]

    async def rates(self, last: Sequence[FxRate], day: date) -> Sequence[FxRate]:
        """A rate for each currency; the dollar stays what the others are measured by."""
        return [FxRate(rate.currency, day, _next_rate(rate, day)) for rate in last]


def _next_close(instrument: Instrument, last: Decimal, day: date) -> Decimal:
    # A fund is not traded at ticks: its net asset value is stated to four places.
    tick = AMOUNT if instrument.kind is InstrumentKind.FUND else instrument.tick_size
    with arithmetic():
        moved = last * _step(_VOLATILITY[instrument.asset_class], instrument.id, day)
        return max((moved / tick).quantize(_WHOLE), _WHOLE) * tick


def _next_rate(last: FxRate, day: date) -> Decimal:
    if last.currency == PIVOT:
        return last.usd
    with arithmetic():
        return max((last.usd * _step(_RATE_VOLATILITY, last.currency, day)).quantize(NUMBER), NUMBER)


def _step(volatility: float, *key: object) -> Decimal:
    """By what a day multiplies a price: nearly normal, of a year's volatility, and always the same for its key."""
    digest = sha256(":".join(map(str, key)).encode()).digest()
    draws = (int.from_bytes(digest[at : at + 8], "big") / 2**64 for at in range(0, 32, 8))
    normal = (sum(draws) - 2) * _UNIT
    return Decimal(1 + volatility * _DAYS_A_YEAR**-0.5 * normal).quantize(NUMBER)
