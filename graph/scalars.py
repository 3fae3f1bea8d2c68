"""Scalars of the schema, strict on the way in, and Money."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar, Final, NewType
from uuid import UUID

import strawberry
from strawberry.types.scalar import ScalarDefinition

from domain.errors import Invalid
from domain.money import Money as DomainMoney
from domain.money import as_currency, display
from graph.context import Info
from graph.described import type_
from graph.execution.needs import reading

# Sixteen digits before and ten after the point are the most that anything stored has; longer input is a mistake.
DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?")
DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _decimal(value: Any) -> Decimal:
    if not isinstance(value, str) or not DECIMAL.fullmatch(value):
        raise Invalid('A Decimal is a string of digits with at most one point, such as "1234.50".')
    try:
        return Decimal(value)
    except InvalidOperation as error:
        raise Invalid("This is not a Decimal.") from error


def _plain(value: Decimal) -> str:
    """Without exponent and without the zeros that only storage added."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def plain_column(values: Sequence[Decimal]) -> list[str]:
    """The texts of many: as one by one, but that most need no more than cutting."""
    return [
        (text.rstrip("0").rstrip(".") if "." in text else text) if "E" not in text else _plain(value)
        for value, text in zip(values, map(str, values), strict=True)
    ]


def _day(value: Any) -> date:
    if not isinstance(value, str) or not DAY.fullmatch(value):
        raise Invalid("A Date is written as in 2026-01-31.")
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise Invalid("There is no such day.") from error


def as_moment(value: Any) -> datetime:
    """A moment in UTC, from its text in RFC 3339; raises Invalid."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Invalid("A DateTime is written as in 2026-01-31T09:30:00Z.")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise Invalid("There is no such moment in UTC.") from error


def _stamp(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _uuid(value: Any) -> UUID:
    try:
        return UUID(value)
    except (ValueError, AttributeError, TypeError) as error:
        raise Invalid("This is not a UUID.") from error


# Only where the shape is truly the user's own.
JSON = NewType("JSON", object)

SCALARS: Final[Mapping[object, ScalarDefinition]] = {
    Decimal: strawberry.scalar(
        name="Decimal",
        description="An exact decimal number, as a string of digits with at most one point.",
        serialize=_plain,
        parse_value=_decimal,
    ),
    date: strawberry.scalar(
        name="Date",
        description="A day of the calendar without a time, in ISO 8601, such as 2026-01-31.",
        serialize=date.isoformat,
        parse_value=_day,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="A moment in UTC, in RFC 3339, such as 2026-01-31T09:30:00Z.",
        serialize=_stamp,
        parse_value=as_moment,
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="A value of any shape that JSON has, given and taken as it is.",
        serialize=lambda value: value,
        parse_value=lambda value: value,
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
    ),
    UUID: strawberry.scalar(
        name="UUID",
        description="A universally unique identifier, in RFC 9562's text form.",
        serialize=str,
        parse_value=_uuid,
        specified_by_url="https://www.rfc-editor.org/rfc/rfc9562",
    ),
}


@type_
class Money:
    """An amount in a currency.

    amount: The exact amount, unrounded.
    currency: The currency, by its code of ISO 4217.
    """

    cost_points: ClassVar[float] = 0.1

    amount: Decimal
    currency: str

    @strawberry.field(
        description="The amount as the viewer reads it: rounded half up to the currency's places, in the viewer's "
        "locale, Indian rupees grouped by lakh and crore where the locale does."
    )
    async def display(self: DomainMoney, info: Info) -> str:
        """The amount for people."""
        viewer = await info.context.viewer()
        return display(self, viewer.locale)


def money(amount: str, currency: str, description: str, *, nullable: bool = False) -> Any:
    """A field of Money over two attributes: the amount, and the code of its currency."""

    def resolve(root: Any) -> DomainMoney | None:
        value = getattr(root, amount)
        return None if value is None else DomainMoney(value, as_currency(getattr(root, currency)))

    kind = Money | None if nullable else Money
    return strawberry.field(
        resolver=resolve, description=description, graphql_type=kind, metadata=reading(amount, currency)
    )
