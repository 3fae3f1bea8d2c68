"""The blocks of messages as the schema shows them."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry
from strawberry import ID

from domain.conversations import blocks
from domain.conversations.blocks import CardKind, CellKind, ChartKind, ConfirmationState, SystemKind
from domain.entities import Entity
from domain.errors import NotFound
from graph.context import Info
from graph.cost import cost
from graph.described import enum, type_
from graph.node_queries import found_node
from graph.nodes import Node, OfEntity
from graph.scalars import JSON

for each in (CardKind, CellKind, ChartKind, ConfirmationState, SystemKind):
    enum(each)


@type_
class TextBlock(OfEntity):
    """A text.

    text: The text, in Markdown (CommonMark with tables).
    """

    entity = blocks.TextBlock

    text: str


@type_
class TableColumn(OfEntity):
    """A column of a table.

    name: What stands above it.
    cells: What its cells hold.
    currency: The currency of its amounts, by its code of ISO 4217, if it is one of money.
    """

    entity = blocks.TableColumn

    name: str
    cells: CellKind
    currency: str | None


@type_
class TableBlock(OfEntity):
    """A table.

    title: What it shows.
    columns: Its columns, from left to right.
    rows: Its rows, each with a cell for each column, as the columns say; null where nothing is known.
    """

    entity = blocks.TableBlock

    title: str
    columns: list[TableColumn] = strawberry.field(metadata=cost(size=5))
    rows: list[list[str | None]]


@type_
class ChartAxis(OfEntity):
    """An axis of a chart.

    label: What stands along it.
    values: What its values are.
    currency: The currency of its amounts, if they are amounts of money.
    """

    entity = blocks.Axis

    label: str
    values: CellKind
    currency: str | None


@type_
class ChartPoint(OfEntity):
    """A point of a series.

    x: Where it stands along the x axis, as the axis says: a name, a number or a date.
    y: Its height.
    """

    entity = blocks.Point

    x: str
    y: Decimal


@type_
class ChartSeries(OfEntity):
    """Points that are drawn as one.

    name: What the points are of.
    points: The points, in the order in which they are drawn.
    """

    entity = blocks.Series

    name: str
    points: list[ChartPoint] = strawberry.field(metadata=cost(size=12))


@type_
class ChartBlock(OfEntity):
    """A chart, with all that is needed to draw it.

    title: What it shows.
    chart: How it is drawn.
    x: The axis from left to right; of a pie, what its slices are.
    y: The axis from below; of a pie, what the size of its slices is.
    series: What is drawn; of a pie, one series.
    """

    entity = blocks.ChartBlock

    title: str
    chart: ChartKind
    x: ChartAxis
    y: ChartAxis
    series: list[ChartSeries] = strawberry.field(metadata=cost(size=1))


@type_
class ActionCardBlock(OfEntity):
    """Something that the reader may do next.

    card: What it does.
    label: What stands on it.
    operation: The GraphQL document that it sends, or the question that it asks.
    """

    entity = blocks.ActionCardBlock

    card: CardKind
    label: str
    operation: str | None

    @strawberry.field(description="The variables of its operation.")
    def variables(self: blocks.ActionCardBlock) -> JSON | None:
        """The variables, of whatever shape."""
        return JSON(self.variables) if self.variables is not None else None

    @strawberry.field(description="The id of what it opens or changes.")
    def target_id(self: blocks.ActionCardBlock) -> ID | None:
        """The id as clients see it."""
        return ID(str(self.target)) if self.target else None

    @strawberry.field(
        description="What it opens or changes; none where the viewer does not see that.", graphql_type=Node | None
    )
    async def target(self: blocks.ActionCardBlock, info: Info) -> Entity | None:
        """The object, under the scope of whoever reads."""
        if self.target is None:
            return None
        try:
            return await found_node(info.context, self.target.kind, self.target.id)
        except NotFound:
            return None


@type_
class ConfirmationBlock(OfEntity):
    """What would happen, for somebody to confirm or decline.

    id: The confirmation's own id.
    summary: What would happen, in a sentence.
    mutation: The mutation that would be sent.
    state: Whether somebody has answered.
    expires_at: Until when it can be confirmed.
    """

    entity = blocks.ConfirmationBlock

    id: UUID
    summary: str
    mutation: str
    state: ConfirmationState
    expires_at: datetime | None

    @strawberry.field(description="The exact input of the mutation.")
    def input(self: blocks.ConfirmationBlock) -> JSON:
        """The input, of whatever shape."""
        return JSON(self.input)


@type_
class ErrorBlock(OfEntity):
    """What went wrong.

    code: What it was, for programs.
    message: What it was, for people.
    retryable: Whether the same may succeed later.
    suggestion: What to do about it.
    """

    entity = blocks.ErrorBlock

    code: str
    message: str
    retryable: bool
    suggestion: str | None


@type_
class SystemBlock(OfEntity):
    """What the system itself tells.

    about: What it tells of.
    text: What there is to tell.
    agent: The agent that goes on, where another one does.
    """

    entity = blocks.SystemBlock

    about: SystemKind
    text: str
    agent: str | None


Block: TypeAlias = Annotated[
    TextBlock | TableBlock | ChartBlock | ActionCardBlock | ConfirmationBlock | ErrorBlock | SystemBlock,
    strawberry.union("Block", description="A part of a message, each of its own kind."),
]
