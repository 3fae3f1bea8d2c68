"""What a message is made of: blocks, each of its own kind, stored as tagged and versioned JSON."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, TypeAlias
from uuid import UUID

import msgspec

from domain.refs import Ref


class Block(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """A part of a message. `v` is the version of its form: what was stored in an older one stays readable."""

    v: int = 1


class TextBlock(Block, frozen=True, tag="text"):
    """A text in Markdown."""

    text: str


class CellKind(StrEnum):
    """What the cells of a table's column hold.

    TEXT: Words.
    NUMBER: Plain decimal numbers.
    MONEY: Amounts of the column's currency, as plain decimal numbers.
    PERCENT: Fractions, where 0.05 means 5 %.
    DATE: Dates, as in 2026-03-31.
    REF: Ids of objects.
    """

    TEXT = "TEXT"
    NUMBER = "NUMBER"
    MONEY = "MONEY"
    PERCENT = "PERCENT"
    DATE = "DATE"
    REF = "REF"


class TableColumn(msgspec.Struct, frozen=True):
    """A column of a table; `currency` is the ISO 4217 code of all its amounts, if it is one of money."""

    name: str
    cells: CellKind = CellKind.TEXT
    currency: str | None = None


class TableBlock(Block, frozen=True, tag="table"):
    """A table: columns with their types, and rows with a cell for each, as text; none where nothing is known."""

    title: str
    columns: tuple[TableColumn, ...]
    rows: tuple[tuple[str | None, ...], ...]


class ChartKind(StrEnum):
    """How a chart is drawn.

    BAR: A bar for each point.
    LINE: A line through the points.
    PIE: A slice for each point of the only series.
    """

    BAR = "BAR"
    LINE = "LINE"
    PIE = "PIE"


class Axis(msgspec.Struct, frozen=True):
    """An axis of a chart: its label, and what stands along it."""

    label: str
    values: CellKind = CellKind.TEXT
    currency: str | None = None


class Point(msgspec.Struct, frozen=True):
    """A point of a chart's series: a name, number or date along the x axis, and its height."""

    x: str
    y: Decimal


class Series(msgspec.Struct, frozen=True):
    """Points that are drawn as one."""

    name: str
    points: tuple[Point, ...]


class ChartBlock(Block, frozen=True, tag="chart"):
    """A chart, with all that is needed to draw it."""

    title: str
    chart: ChartKind
    x: Axis
    y: Axis
    series: tuple[Series, ...]


class CardKind(StrEnum):
    """What an action card does.

    NAVIGATE: Opens its target.
    MUTATE: Sends a mutation.
    ASK: Asks the assistant something further.
    """

    NAVIGATE = "NAVIGATE"
    MUTATE = "MUTATE"
    ASK = "ASK"


class ActionCardBlock(Block, frozen=True, tag="action_card"):
    """Something that the reader may do next.

    `operation` is a GraphQL document, or for ASK the question, and `variables` are what goes with it.
    """

    card: CardKind
    label: str
    target: Ref | None = None
    operation: str | None = None
    variables: dict[str, Any] | None = None


class ConfirmationState(StrEnum):
    """Where a confirmation stands.

    PENDING: Nobody has answered it yet.
    CONFIRMED: Somebody has confirmed it.
    DECLINED: Somebody has declined it.
    EXPIRED: Its time is over.
    """

    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    DECLINED = "DECLINED"
    EXPIRED = "EXPIRED"


class ConfirmationBlock(Block, frozen=True, tag="confirmation"):
    """What would happen, with the exact input, and whether somebody wants it to."""

    id: UUID
    summary: str
    mutation: str
    input: dict[str, Any]
    state: ConfirmationState
    expires_at: datetime | None = None


class ErrorBlock(Block, frozen=True, tag="error"):
    """What went wrong, whether the same may succeed later, and what to do about it."""

    code: str
    message: str
    retryable: bool
    suggestion: str | None = None


class SystemKind(StrEnum):
    """What the system tells of.

    AGENT_SWITCHED: Another agent goes on.
    STATUS: How things stand.
    """

    AGENT_SWITCHED = "AGENT_SWITCHED"
    STATUS = "STATUS"


class SystemBlock(Block, frozen=True, tag="system"):
    """What the system itself tells."""

    about: SystemKind
    text: str
    agent: str | None = None


AnyBlock: TypeAlias = (
    TextBlock | TableBlock | ChartBlock | ActionCardBlock | ConfirmationBlock | ErrorBlock | SystemBlock
)
_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(tuple[AnyBlock, ...])


def stored(blocks: Sequence[AnyBlock]) -> str:
    """Blocks as they are stored."""
    return _ENCODER.encode(blocks).decode()


def read(text: str) -> tuple[AnyBlock, ...]:
    """Stored blocks."""
    return _DECODER.decode(text)
