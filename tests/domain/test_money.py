from decimal import ROUND_UP, Decimal, Inexact, localcontext
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.errors import Refusal, RefusalCode
from domain.money import (
    Currency,
    Money,
    amount_stored,
    as_currency,
    display,
    fits_amount,
    fits_number,
    is_currency,
    money_rounded,
    number_stored,
    places,
    price_rounded,
    quantity_rounded,
    units_rounded,
)
from tests.strategies import STEADY

INR = Currency("INR")


def money(amount: str, currency: str = "INR") -> Money:
    return Money(Decimal(amount), as_currency(currency))


@pytest.mark.parametrize(
    ("amount", "currency", "locale", "text"),
    [
        ("12345678.90", "INR", "en_IN", "₹1,23,45,678.90"),
        ("12345678.90", "INR", "en-IN", "₹1,23,45,678.90"),
        ("100000", "INR", "en_IN", "₹1,00,000.00"),
        ("-250000.5", "INR", "en_IN", "-₹2,50,000.50"),
        ("12345678.90", "USD", "en_US", "$12,345,678.90"),
        ("1234.5", "EUR", "de_DE", "1.234,50\xa0€"),
        ("1234567", "GBP", "en_GB", "£1,234,567.00"),
        ("1234.56", "JPY", "en_US", "¥1,235"),
        ("9999999999999999.9999", "INR", "en_IN", "₹10,00,00,00,00,00,00,000.00"),
    ],
)
def test_money_reads_as_its_locale_writes_it(amount: str, currency: str, locale: str, text: str) -> None:
    assert display(money(amount, currency), locale) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0.125", "₹0.13"), ("0.115", "₹0.12"), ("2.345", "₹2.35"), ("-0.125", "-₹0.13"), ("-0.001", "₹0.00")],
)
def test_display_rounds_half_up_where_babel_rounds_to_even(amount: str, text: str) -> None:
    assert display(money(amount)) == text


@pytest.mark.parametrize("locale", ["", "xx", "zz_ZZ", "../../etc/passwd", "a\0b", "\ud800", "en_IN_" * 5000])
def test_an_unknown_locale_reads_as_the_default(locale: str) -> None:
    assert display(money("12345678.9"), locale) == "₹1,23,45,678.90"


def test_each_use_has_its_places_half_up() -> None:
    value = Decimal("1.23456789012345")
    assert money_rounded(value, "INR") == Decimal("1.23")
    assert money_rounded(Decimal("1.005"), "INR") == Decimal("1.01")
    assert money_rounded(Decimal("1.5"), "JPY") == Decimal(2)
    assert price_rounded(Decimal("1.00005")) == Decimal("1.0001")
    assert units_rounded(Decimal("1.0005")) == Decimal("1.001")
    assert quantity_rounded(Decimal("0.0000005")) == Decimal("0.000001")
    assert amount_stored(value) == Decimal("1.2346")
    assert number_stored(value) == Decimal("1.2345678901")


def test_rounding_does_not_depend_on_the_context_of_the_caller() -> None:
    with localcontext(prec=3, rounding=ROUND_UP) as context:
        context.traps[Inexact] = True
        assert amount_stored(Decimal("1234567890123456.00004")) == Decimal(1234567890123456)
        assert display(money("12345678.901")) == "₹1,23,45,678.90"
        assert fits_amount(Decimal("1234567890123456.0001"))


@pytest.mark.parametrize("code", ["INR", "USD", "EUR", "GBP", "SGD", "JPY", "AED"])
def test_iso_codes_are_currencies(code: str) -> None:
    assert is_currency(code)
    assert as_currency(code) == code


@pytest.mark.parametrize("code", ["", "inr", "RS", "RUPEE", "XYZ", "INR ", "₹"])
def test_other_codes_are_refused_at_their_field(code: str) -> None:
    with pytest.raises(Refusal) as refused:
        as_currency(code, "baseCurrency")
    assert (refused.value.code, refused.value.field) == (RefusalCode.INVALID_VALUE, ("input", "baseCurrency"))


def test_places_are_those_of_iso_4217() -> None:
    assert [places(code) for code in ("INR", "USD", "JPY", "KWD")] == [2, 2, 0, 3]


@pytest.mark.parametrize(
    ("text", "amount", "number"),
    [
        ("0", True, True),
        ("9999999999999999.9999", True, False),
        ("-9999999999999999.9999", True, False),
        ("10000000000000000", False, False),
        ("99999999999999.9999999999", False, True),
        ("0.0001", True, True),
        ("0.00010", True, True),
        ("0.00001", False, True),
        ("0.00000000001", False, False),
        ("1E+15", True, False),
        ("1E+999999", False, False),
        ("1E-999999", False, False),
        ("0E+999999", True, True),
        ("NaN", False, False),
        ("sNaN", False, False),
        ("Infinity", False, False),
        ("-Infinity", False, False),
    ],
)
def test_what_fits_storage(text: str, *, amount: bool, number: bool) -> None:
    assert fits_amount(Decimal(text)) is amount
    assert fits_number(Decimal(text)) is number


@STEADY
@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**18), max_value=10**18))
@example(Decimal("0.00005"))
def test_what_fits_is_what_storage_leaves_unchanged(value: Decimal) -> None:
    scaled = Fraction(value) * 10**4
    assert fits_amount(value) == (scaled.denominator == 1 and abs(scaled) < 10**20)


@STEADY
@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15))
def test_stored_amounts_are_at_most_half_a_step_away(value: Decimal) -> None:
    stored = amount_stored(value)
    assert fits_amount(stored)
    assert abs(Fraction(stored) - Fraction(value)) <= Fraction(1, 20000)
