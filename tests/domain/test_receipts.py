from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from domain.ledger import Entry, TransactionKind
from domain.receipts import digest

ENTRY = Entry(
    portfolio_id=UUID(int=1),
    kind=TransactionKind.DEPOSIT,
    currency="INR",
    traded_on=date(2026, 1, 2),
    amount=Decimal("1.5"),
)


def test_the_same_amount_written_otherwise_is_the_same_input() -> None:
    assert digest(msgspec.structs.replace(ENTRY, amount=Decimal("1.50"))) == digest(ENTRY)


@pytest.mark.parametrize(
    "other",
    [
        {"amount": Decimal(15)},
        {"currency": "USD"},
        {"traded_on": date(2026, 1, 3)},
        {"portfolio_id": UUID(int=2)},
        {"note": "late"},
    ],
)
def test_other_input_has_another_digest(other: dict[str, object]) -> None:
    assert digest(msgspec.structs.replace(ENTRY, **other)) != digest(ENTRY)
