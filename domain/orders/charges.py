"""What a trade costs beside its price, by market: rates are data.

Rates are fractions of the trade's value; service tax is a fraction of brokerage and the exchange's fee. Sources: the
Securities Transaction Tax and stamp duty on delivery trades in India (Finance Act 2004 and Indian Stamp Act as
amended in 2019), stamp duty reserve tax in the United Kingdom; brokerage is the firm's own tariff.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from domain.instruments import Instrument, InstrumentKind
from domain.money import ZERO, arithmetic, money_rounded
from domain.orders.entities import Side


class Tariff(msgspec.Struct, frozen=True):
    """The rates of a market, as fractions of a trade's value."""

    brokerage: Decimal = Decimal("0.001")
    transaction_tax: Decimal = ZERO
    stamp_duty_on_purchase: Decimal = ZERO
    exchange_fee: Decimal = ZERO
    service_tax: Decimal = ZERO


class Charges(msgspec.Struct, frozen=True):
    """The charges of one trade, in its currency, each rounded half up to the currency's places."""

    brokerage: Decimal
    transaction_tax: Decimal
    stamp_duty: Decimal
    other_charges: Decimal

    @property
    def total(self) -> Decimal:
        """All of them together."""
        with arithmetic():
            return self.brokerage + self.transaction_tax + self.stamp_duty + self.other_charges

    def less(self, others: "Charges") -> "Charges":
        """What is left of each when others are taken away."""
        with arithmetic():
            return Charges(*(getattr(self, name) - getattr(others, name) for name in self.__struct_fields__))


_INDIAN: Final = Tariff(
    transaction_tax=Decimal("0.001"),
    stamp_duty_on_purchase=Decimal("0.00015"),
    exchange_fee=Decimal("0.00003"),
    service_tax=Decimal("0.18"),
)
_ABROAD: Final = Tariff()
# Units of a fund are bought from the fund itself: 0.005 % stamp duty on purchase and nothing else.
FUND: Final = Tariff(brokerage=ZERO, stamp_duty_on_purchase=Decimal("0.00005"))

TARIFFS: Final[Mapping[tuple[str, InstrumentKind], Tariff]] = {
    ("XNSE", InstrumentKind.SHARE): _INDIAN,
    ("XNSE", InstrumentKind.ETF): msgspec.structs.replace(_INDIAN, transaction_tax=ZERO),
    ("XNSE", InstrumentKind.BOND): msgspec.structs.replace(_INDIAN, transaction_tax=ZERO),
    ("XNSE", InstrumentKind.FUND): FUND,
    ("XLON", InstrumentKind.SHARE): msgspec.structs.replace(_ABROAD, stamp_duty_on_purchase=Decimal("0.005")),
}


def tariff(instrument: Instrument) -> Tariff:
    """The rates for trades of an instrument."""
    return TARIFFS.get((instrument.exchange, instrument.kind), _ABROAD)


def charges(instrument: Instrument, side: Side, value: Decimal) -> Charges:
    """What a trade of this value costs beside it."""
    rates = tariff(instrument)
    with arithmetic():
        brokerage = money_rounded(value * rates.brokerage, instrument.currency)
        fee = value * rates.exchange_fee
        stamp = value * rates.stamp_duty_on_purchase if side is Side.BUY else ZERO
        return Charges(
            brokerage=brokerage,
            transaction_tax=money_rounded(value * rates.transaction_tax, instrument.currency),
            stamp_duty=money_rounded(stamp, instrument.currency),
            other_charges=money_rounded(fee + (brokerage + fee) * rates.service_tax, instrument.currency),
        )


def stamp_duty_within(amount: Decimal, currency: str) -> Decimal:
    """The stamp duty within an amount that buys units of a fund: amount * 0.005 / 100.005."""
    with arithmetic():
        rate = FUND.stamp_duty_on_purchase
        return money_rounded(amount * rate / (1 + rate), currency)
