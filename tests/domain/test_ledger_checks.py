from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain.errors import Refusal, RefusalCode
from domain.ledger import Entry, booked, check_entry
from tests.strategies.ledger import BOOK, CLERK, CLIENT, OPENED, SHARE, Kind, Scribe, entry

TODAY = date(2024, 6, 3)
D = Decimal

ACCEPTED = [
    entry(Kind.DEPOSIT, amount="0.0001"),
    entry(Kind.WITHDRAWAL, TODAY, amount="9999999999999999.9999"),
    entry(Kind.BUY, quantity="0.0000000001", price="0.01", brokerage="1"),
    entry(Kind.BUY, quantity="5", price="10", settles_on=OPENED),
    entry(Kind.SELL, quantity="5", price="0", transaction_tax="0"),
    entry(Kind.DIVIDEND, amount="3"),
    entry(Kind.INTEREST, amount="3"),
    entry(Kind.INTEREST, amount="3", instrument_id=SHARE),
    entry(Kind.FEE, amount="3", currency="SGD"),
    entry(Kind.TAX, amount="3", note="TDS", reference="R-1"),
    entry(Kind.SPLIT, ratio_new=1, ratio_old=100_000),
    entry(Kind.BONUS, ratio_new=1, ratio_old=1),
    entry(Kind.TRANSFER_IN, quantity="3", cost="0", acquired_on=date(1999, 1, 1)),
    entry(Kind.TRANSFER_OUT, quantity="3"),
]


def examined(asked: Entry, instrument_currency: str | None = None) -> None:
    check_entry(asked, opened_on=OPENED, today=TODAY, instrument_currency=instrument_currency)


@pytest.mark.parametrize("asked", ACCEPTED, ids=lambda asked: asked.kind.value)
def test_what_a_custodian_reports_is_accepted(asked: Entry) -> None:
    examined(asked)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": Kind.REVERSAL}, "kind"),
        ({"quantity": None}, "quantity"),
        ({"quantity": D(0)}, "quantity"),
        ({"quantity": D(-1)}, "quantity"),
        ({"quantity": D("NaN")}, "quantity"),
        ({"quantity": D("sNaN")}, "quantity"),
        ({"quantity": D("Infinity")}, "quantity"),
        ({"quantity": D("1E-11")}, "quantity"),
        ({"quantity": D("1E14")}, "quantity"),
        ({"quantity": D("1E999999")}, "quantity"),
        ({"quantity": D("1E13"), "price": D("1E13")}, "quantity"),
        ({"price": None}, "price"),
        ({"price": D(0)}, "price"),
        ({"price": D(-1)}, "price"),
        ({"price": D("0.00000000001")}, "price"),
        ({"amount": D(50)}, "amount"),
        ({"cost": D(50)}, "cost"),
        ({"acquired_on": OPENED}, "acquiredOn"),
        ({"ratio_new": 2}, "ratioNew"),
        ({"ratio_old": 1}, "ratioOld"),
        ({"instrument_id": None}, "instrumentId"),
        ({"brokerage": D(-1)}, "brokerage"),
        ({"transaction_tax": D("0.00001")}, "transactionTax"),
        ({"stamp_duty": D("NaN")}, "stampDuty"),
        ({"other_charges": D("1E16")}, "otherCharges"),
        ({"currency": "XYZ"}, "currency"),
        ({"currency": "inr"}, "currency"),
        ({"settles_on": OPENED}, "settlesOn"),
        ({"reference": "x" * 201}, "reference"),
        ({"note": "x" * 10_001}, "note"),
    ],
)
def test_a_purchase_is_refused_at_the_field_at_fault(changes: dict[str, Any], field: str) -> None:
    asked = entry(Kind.BUY, OPENED + timedelta(days=1), quantity="5", price="10")
    examined(asked)
    with pytest.raises(Refusal) as refused:
        examined(msgspec.structs.replace(asked, **changes))
    assert (refused.value.code, refused.value.field) == (RefusalCode.INVALID_VALUE, ("input", field))


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (entry(Kind.DEPOSIT), "amount"),
        (entry(Kind.DEPOSIT, amount="0"), "amount"),
        (entry(Kind.DEPOSIT, amount="5", instrument_id=SHARE), "instrumentId"),
        (entry(Kind.DEPOSIT, amount="5", brokerage="1"), "brokerage"),
        (entry(Kind.WITHDRAWAL, amount="-5"), "amount"),
        (entry(Kind.WITHDRAWAL, amount="5.00001"), "amount"),
        (entry(Kind.DIVIDEND, amount="5", instrument_id=None), "instrumentId"),
        (entry(Kind.SELL, quantity="5"), "price"),
        (entry(Kind.SELL, quantity="5", price="-1"), "price"),
        (entry(Kind.SPLIT, ratio_new=2), "ratioOld"),
        (entry(Kind.SPLIT, ratio_new=2, ratio_old=2), "ratioNew"),
        (entry(Kind.SPLIT, ratio_new=0, ratio_old=1), "ratioNew"),
        (entry(Kind.BONUS, ratio_new=1, ratio_old=-2), "ratioOld"),
        (entry(Kind.BONUS, ratio_new=100_001, ratio_old=2), "ratioNew"),
        (entry(Kind.BONUS, ratio_new=1, ratio_old=2, quantity="5"), "quantity"),
        (entry(Kind.TRANSFER_IN, quantity="3", cost="5"), "acquiredOn"),
        (entry(Kind.TRANSFER_IN, quantity="3", acquired_on=OPENED), "cost"),
        (entry(Kind.TRANSFER_IN, quantity="3", cost="-5", acquired_on=OPENED), "cost"),
        (entry(Kind.TRANSFER_IN, quantity="3", cost="5", acquired_on=OPENED + timedelta(days=1)), "acquiredOn"),
        (entry(Kind.TRANSFER_OUT, quantity="3", cost="5"), "cost"),
    ],
)
def test_each_kind_has_its_own_fields(asked: Entry, field: str) -> None:
    with pytest.raises(Refusal) as refused:
        examined(asked)
    assert (refused.value.code, refused.value.field) == (RefusalCode.INVALID_VALUE, ("input", field))


@pytest.mark.parametrize(
    ("traded_on", "code"),
    [
        (OPENED - timedelta(days=1), RefusalCode.ENTRY_BEFORE_OPENING),
        (TODAY + timedelta(days=1), RefusalCode.FUTURE_DATE),
    ],
)
def test_an_entry_is_dated_between_opening_and_today(traded_on: date, code: RefusalCode) -> None:
    with pytest.raises(Refusal) as refused:
        examined(entry(Kind.DEPOSIT, traded_on, amount="5"))
    assert (refused.value.code, refused.value.field) == (code, ("input", "tradedOn"))


def test_securities_are_kept_in_the_currency_of_the_instrument() -> None:
    examined(entry(Kind.BUY, quantity="5", price="10", currency="USD"), "USD")
    with pytest.raises(Refusal) as refused:
        examined(entry(Kind.BUY, quantity="5", price="10", currency="INR"), "USD")
    assert refused.value.field == ("input", "currency")


def test_an_entry_is_kept_as_it_was_asked_with_amount_and_settlement_filled_in() -> None:
    asked = entry(Kind.BUY, date(2024, 1, 5), quantity="5", price="10", brokerage="2", reference="N-1", note="by phone")
    written = Scribe().write(asked.kind, asked.traded_on, quantity="5", price="10", brokerage="2")
    kept = booked(
        asked,
        transaction_id=UUID(int=9),
        client_id=CLIENT,
        book_id=BOOK,
        recorded_at=written.recorded_at,
        recorded_by=CLERK,
    )
    same = [name for name in Entry.__struct_fields__ if name not in {"amount", "settles_on"}]
    assert [getattr(kept, name) for name in same] == [getattr(asked, name) for name in same]
    assert (kept.amount, kept.settles_on, kept.reverses_id) == (D(-52), date(2024, 1, 8), None)
    assert (kept.id, kept.client_id, kept.book_id, kept.recorded_by) == (UUID(int=9), CLIENT, BOOK, CLERK)
