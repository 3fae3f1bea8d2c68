from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ledger import Transaction, fold, live
from domain.money import Currency, Money
from domain.valuation import (
    AssetClass,
    FxQuote,
    PortfolioValuation,
    PositionValuation,
    Quote,
    actions_of,
    rate_between,
    restated,
    series,
    value,
)
from tests.strategies import STEADY
from tests.strategies.ledger import OPENED, SHARES, Kind, Scribe, decimals, ledgers

D = Decimal
INR, USD, EUR = Currency("INR"), Currency("USD"), Currency("EUR")
TODAY = date(2024, 6, 3)
DAY = timedelta(days=1)
BANK, APPLE, FUND = SHARES


class Share(msgspec.Struct, frozen=True):
    asset_class: AssetClass
    sector: str | None
    currency: str


class Held(msgspec.Struct, frozen=True):
    instrument_id: UUID
    quantity: Decimal
    total_cost: Decimal


INSTRUMENTS = {
    BANK: Share(AssetClass.EQUITY, "Financials", "INR"),
    APPLE: Share(AssetClass.EQUITY, "Technology", "USD"),
    FUND: Share(AssetClass.DEBT, None, "INR"),
}
POSITIONS = (Held(BANK, D(100), D(150_000)), Held(APPLE, D(10), D(1500)), Held(FUND, D(0), D(0)))
CASH = {"INR": D(32_000), "USD": D(-100), "EUR": D(0)}
QUOTES = {BANK: Quote(BANK, TODAY, D(1600)), APPLE: Quote(APPLE, TODAY - DAY, D(200))}
RATES = {"INR": FxQuote("INR", TODAY - 3 * DAY, D("0.0125"))}


def worth(**changes: Any) -> PortfolioValuation:
    base: dict[str, Any] = {
        "as_of": TODAY,
        "currency": INR,
        "instruments": INSTRUMENTS,
        "quotes": QUOTES,
        "rates": RATES,
    }
    positions, cash = changes.pop("positions", POSITIONS), changes.pop("cash", CASH)
    return value(positions, cash, **{**base, **changes})


def of(valuation: PortfolioValuation, instrument_id: UUID) -> PositionValuation:
    return next(each for each in valuation.positions if each.instrument_id == instrument_id)


def slices(parts: Iterable[Any]) -> list[tuple[object, ...]]:
    return [(part.key, part.value, part.weight) for part in parts]


def test_a_portfolio_in_two_currencies_by_hand() -> None:
    seen = worth()
    # 1 USD is 80 INR: 160,000 in the bank, 160,000 in Apple, 32,000 less 8,000 in cash.
    assert seen.value == Money(D(344_000), INR)
    assert seen.cash == Money(D(24_000), INR)
    assert seen.invested == Money(D(150_000 + 120_000), INR)
    assert seen.unrealised_gain == Money(D(10_000 + 40_000), INR)
    assert (seen.missing_prices, seen.missing_rates) == ((), ())
    assert (seen.prices_as_of, seen.rates_as_of) == (TODAY - DAY, TODAY - 3 * DAY)
    assert [each.instrument_id for each in seen.positions] == [BANK, APPLE]


def test_a_position_states_both_currencies_and_its_dates() -> None:
    apple, bank = of(worth(), APPLE), of(worth(), BANK)
    assert (apple.price, apple.priced_on, apple.fx_on) == (D(200), TODAY - DAY, TODAY - 3 * DAY)
    assert (apple.currency, apple.average_cost, apple.total_cost) == ("USD", D(150), D(1500))
    assert (apple.market_value, apple.unrealised_gain) == (D(2000), D(500))
    assert (apple.market_value_base, apple.total_cost_base) == (D(160_000), D(120_000))
    assert apple.unrealised_gain_base == D(40_000)
    assert apple.weight == pytest.approx(D(160) / D(344), abs=D("1E-25"))
    assert (bank.fx_on, bank.market_value, bank.market_value_base) == (None, D(160_000), D(160_000))


def test_allocations_have_cash_apart_and_come_by_value() -> None:
    seen = worth(positions=[*POSITIONS, Held(FUND, D(10), D(90))], quotes={**QUOTES, FUND: Quote(FUND, TODAY, D(5600))})
    assert slices(seen.by_asset_class) == [
        (AssetClass.EQUITY, 320_000, D("0.8")),
        (AssetClass.DEBT, 56_000, D("0.14")),
        (AssetClass.CASH, 24_000, D("0.06")),
    ]
    assert slices(seen.by_sector) == [
        ("Financials", 160_000, D("0.4")),
        ("Technology", 160_000, D("0.4")),
        (None, 56_000, D("0.14")),
        (AssetClass.CASH, 24_000, D("0.06")),
    ]
    assert [part.key for part in seen.by_instrument] == [BANK, APPLE, FUND, AssetClass.CASH]


def test_an_instrument_as_good_as_cash_joins_the_cash_of_its_class() -> None:
    liquid = {**INSTRUMENTS, BANK: Share(AssetClass.CASH, None, "INR")}
    seen = worth(positions=POSITIONS[:1], cash={"INR": D(40_000)}, instruments=liquid)
    assert slices(seen.by_asset_class) == [(AssetClass.CASH, 200_000, 1)]
    assert slices(seen.by_instrument) == [(BANK, 160_000, D("0.8")), (AssetClass.CASH, 40_000, D("0.2"))]


def test_a_missing_price_is_null_and_flagged() -> None:
    seen = worth(quotes={BANK: QUOTES[BANK]})
    assert (seen.value, seen.unrealised_gain) == (None, None)
    assert seen.missing_prices == (APPLE,)
    assert seen.cash == Money(D(24_000), INR)
    assert seen.invested == Money(D(270_000), INR)
    apple, bank = of(seen, APPLE), of(seen, BANK)
    assert (apple.price, apple.market_value, apple.market_value_base, apple.weight) == (None, None, None, None)
    assert (bank.market_value, bank.weight) == (D(160_000), None)
    assert slices(seen.by_asset_class) == [(AssetClass.CASH, 24_000, None), (AssetClass.EQUITY, None, None)]


def test_a_missing_rate_is_null_and_flagged() -> None:
    seen = worth(rates={}, cash={"INR": D(5)})
    assert (seen.value, seen.invested, seen.missing_rates) == (None, None, ("INR",))
    assert seen.cash == Money(D(5), INR)
    apple = of(seen, APPLE)
    assert (apple.market_value, apple.market_value_base, apple.fx_on) == (D(2000), None, None)
    assert worth(rates={}, currency=USD).missing_rates == ("INR",)
    assert worth(rates={}).cash is None
    assert slices(worth(rates={}).by_asset_class)[0] == (AssetClass.CASH, None, None)


def test_what_is_dated_later_is_not_known_yet() -> None:
    earlier = worth(as_of=TODAY - 2 * DAY)
    assert (set(earlier.missing_prices), earlier.missing_rates) == ({BANK, APPLE}, ())
    assert worth(as_of=TODAY - 4 * DAY).missing_rates == ("INR",)


def test_a_rate_that_is_not_needed_is_not_missing() -> None:
    seen = worth(positions=POSITIONS[:1], cash={"INR": D(1), "EUR": D(0)}, rates={})
    assert (seen.value, seen.missing_rates, seen.rates_as_of) == (Money(D(160_001), INR), (), None)


def test_a_cross_rate_is_as_old_as_the_older_of_its_two() -> None:
    rates = {"INR": FxQuote("INR", TODAY, D("0.0125")), "EUR": FxQuote("EUR", TODAY - DAY, D("1.25"))}
    cross = rate_between("INR", "EUR", rates, TODAY)
    assert (cross.convert(D(1000)), cross.on) == (D(10), TODAY - DAY)
    assert rate_between("INR", "USD", rates, TODAY).convert(D(80)) == 1
    assert rate_between("USD", "EUR", rates, TODAY).convert(D(5)) == 4
    assert rate_between("GBP", "SGD", rates, TODAY).missing == ("GBP", "SGD")


def test_an_empty_portfolio_is_worth_nothing_and_has_no_weights() -> None:
    seen = worth(positions=[], cash={})
    assert (seen.value, seen.invested, seen.unrealised_gain) == (Money(D(0), INR),) * 3
    assert (seen.positions, seen.by_asset_class, seen.prices_as_of) == ((), (), None)
    assert seen.drift({AssetClass.EQUITY: D("0.6")}) == {AssetClass.EQUITY: None}


def test_drift_is_weight_minus_target_over_all_classes_held_or_aimed_at() -> None:
    seen = worth(positions=POSITIONS[:1], cash={"INR": D(40_000)})
    drift = seen.drift({AssetClass.EQUITY: D("0.7"), AssetClass.GOLD: D("0.3")})
    assert drift == {AssetClass.EQUITY: D("0.1"), AssetClass.GOLD: D("-0.3"), AssetClass.CASH: D("0.2")}
    assert worth(quotes={}).drift({AssetClass.EQUITY: D(1)}) == {AssetClass.EQUITY: None, AssetClass.CASH: None}


def test_nothing_is_rounded_between_steps() -> None:
    quantity, price, rate = D("12345678901234.1234567891"), D("98765432109876.9876543211"), D("1234.0000000001")
    rates = {"EUR": FxQuote("EUR", TODAY, rate)}
    instruments = {APPLE: Share(AssetClass.EQUITY, None, "EUR")}
    quotes = {APPLE: Quote(APPLE, TODAY, price)}
    seen = worth(
        positions=[Held(APPLE, quantity, D(1))],
        cash={},
        currency=USD,
        instruments=instruments,
        quotes=quotes,
        rates=rates,
    )
    assert seen.value is not None
    assert Fraction(seen.value.amount) == Fraction(quantity) * Fraction(price) * Fraction(rate)


PRICES = decimals("0.01", "9000", 4)


@STEADY
@given(
    st.fixed_dictionaries({share: st.tuples(decimals("0", "500", 3), PRICES) for share in SHARES}),
    st.fixed_dictionaries({code: decimals("0.01", "90000", 2) for code in ("INR", "USD", "EUR")}),
    decimals("0.001", "0.1", 6),
    st.sampled_from([INR, USD, EUR]),
)
def test_weights_add_up_to_one_when_nothing_is_missing(
    shares: dict[UUID, tuple[Decimal, Decimal]], cash: dict[str, Decimal], rupee: Decimal, base: Currency
) -> None:
    seen = worth(
        positions=[Held(share, quantity, D(7)) for share, (quantity, _) in shares.items()],
        cash=cash,
        currency=base,
        quotes={share: Quote(share, TODAY, price) for share, (_, price) in shares.items()},
        rates={"INR": FxQuote("INR", TODAY, rupee), "EUR": FxQuote("EUR", TODAY, D("1.1"))},
    )
    assert seen.value is not None
    for parts in (seen.by_asset_class, seen.by_sector, seen.by_instrument):
        weights, values = [part.weight for part in parts], [part.value for part in parts]
        assert abs(sum((Fraction(each) for each in weights if each is not None), Fraction(-1))) < Fraction(1, 10**40)
        total = sum((Fraction(each) for each in values if each is not None), Fraction(0))
        assert abs(total - Fraction(seen.value.amount)) < Fraction(1, 10**40)
    assert {share for share, (quantity, _) in shares.items() if quantity} == {p.instrument_id for p in seen.positions}


# Prices across splits and bonuses


def test_a_price_from_before_a_split_is_restated_until_the_next_close() -> None:
    scribe = Scribe()
    scribe.write(Kind.SPLIT, TODAY, ratio_new=5, ratio_old=1)
    scribe.write(Kind.BONUS, TODAY + DAY, ratio_new=1, ratio_old=2)
    scribe.reverse(scribe.write(Kind.SPLIT, TODAY, ratio_new=9, ratio_old=1))
    actions = actions_of(scribe.ledger)[BANK]
    before, after = Quote(BANK, TODAY - DAY, D(1500)), Quote(BANK, TODAY + DAY, D(200))
    assert restated(before, actions, TODAY - DAY) == before
    assert restated(before, actions, TODAY) == Quote(BANK, TODAY - DAY, D(300))
    assert restated(before, actions, TODAY + DAY).price == 200
    assert restated(after, actions, TODAY + DAY) == after


# Series


def test_a_series_by_hand() -> None:
    scribe = Scribe()
    scribe.write(Kind.DEPOSIT, OPENED, amount="1000")
    scribe.write(Kind.BUY, OPENED + DAY, quantity="10", price="50")
    scribe.write(Kind.SPLIT, OPENED + 3 * DAY, ratio_new=2, ratio_old=1)
    scribe.write(Kind.DEPOSIT, OPENED + 5 * DAY, amount="10", currency="USD")
    closes = [Quote(BANK, OPENED + days * DAY, D(price)) for days, price in ((2, 60), (4, 35))]
    dates = [OPENED + days * DAY for days in (5, 0, 1, 2, 3, 4, 6, -1, 5)]
    rates = [FxQuote("INR", OPENED + 6 * DAY, D("0.0125"))]
    seen = series(scribe.ledger, dates=dates, currency=INR, instruments=INSTRUMENTS, closes=closes, rates=rates)
    assert [day for day, _ in seen] == sorted(set(dates))
    # No close yet after the purchase; the old price counts half on the ex-date; then a currency without a rate.
    assert [amount for _, amount in seen] == [0, 1000, None, 1100, 1100, 1200, None, 2000]


def last(quotes: Iterable[Quote], day: date) -> Mapping[UUID, Quote]:
    return {quote.instrument_id: quote for quote in sorted(quotes, key=lambda quote: quote.on) if quote.on <= day}


@STEADY
@given(
    ledgers(),
    st.lists(st.tuples(st.sampled_from(SHARES), st.integers(-2, 60), PRICES), max_size=20),
    st.lists(st.tuples(st.integers(-2, 60), decimals("0.01", "0.02", 6)), max_size=4, unique_by=lambda rate: rate[0]),
    st.sets(st.integers(-1, 70), max_size=12),
)
def test_a_series_is_the_value_on_each_of_its_dates(
    ledger: list[Transaction],
    prices: list[tuple[UUID, int, Decimal]],
    rupees: list[tuple[int, Decimal]],
    days: set[int],
) -> None:
    by_day = {(share, on): Quote(share, OPENED + on * DAY, price) for share, on, price in prices}
    rates = [FxQuote("INR", OPENED + on * DAY, usd) for on, usd in sorted(rupees)]
    dates = [OPENED + on * DAY for on in sorted(days)]
    everything: dict[str, Any] = {"currency": USD, "instruments": dict.fromkeys(SHARES, INSTRUMENTS[BANK])}
    seen = series(ledger, dates=dates, closes=by_day.values(), rates=rates, **everything)
    actions = actions_of(live(ledger))
    for day, amount in seen:
        holdings = fold(ledger, as_of=day)
        known = bisect_right([rate.on for rate in rates], day)
        quotes = {
            share: restated(quote, actions.get(share, []), day) for share, quote in last(by_day.values(), day).items()
        }
        current = {"INR": rates[known - 1]} if known else {}
        expected = worth(
            positions=holdings.positions.values(),
            cash=holdings.cash,
            as_of=day,
            quotes=quotes,
            rates=current,
            **everything,
        ).value
        assert (amount is None) == (expected is None)
        if amount is not None and expected is not None:
            assert abs(Fraction(amount) - Fraction(expected.amount)) < Fraction(1, 10**40)
    assert [day for day, _ in seen] == dates
