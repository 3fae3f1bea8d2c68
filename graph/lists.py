"""Lists of the schema: Relay's connections over the domain's pages, declared by their filter and orders."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Generic, TypeVar

import msgspec
import strawberry
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField
from strawberry.types.unset import UNSET

from domain.access import Action, require
from domain.paging import LARGEST_NESTED_SIZE, LARGEST_SIZE, Direction, Order, Page, PageRequest
from domain.paging import Edge as DomainEdge
from graph.context import Context, Info
from graph.cost import cost
from graph.described import enum, type_
from graph.execution.needs import NOTHING, Needs
from graph.inputs import into
from persistence.repository import narrows

N = TypeVar("N")
# In points: a count may look at more rows than a page does.
COUNTING: Final = 5
READS: Final = cost(2)
SEARCHES: Final = cost(10)

enum(Direction)


@type_
class PageInfo:
    """Where a page lies in its list.

    has_next_page: Whether the list goes on after this page.
    has_previous_page: Whether the list has rows before this page.
    start_cursor: The cursor of the first row of the page.
    end_cursor: The cursor of the last row of the page.
    """

    cost_points: ClassVar[float] = 0

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@type_
class Edge(Generic[N]):
    """A row of a list and its place in it.

    cursor: The row's place, for the arguments `after` and `before` of the same list.
    node: The row.
    """

    cost_points: ClassVar[float] = 0

    cursor: str
    node: N


class Listed(msgspec.Struct):
    """A page, and how to count its whole list if that is asked for."""

    page: Page[Any]
    count: Callable[[], Awaitable[int]]

    @property
    def edges(self) -> Sequence[DomainEdge[Any]]:
        """The rows of the page with their cursors."""
        return self.page.edges

    @property
    def nodes(self) -> Sequence[Any]:
        """The rows of the page."""
        return self.page.rows


@type_
class Connection(Generic[N]):
    """A page of a list.

    edges: The rows of the page, each with its cursor.
    nodes: The rows of the page, without their cursors.
    """

    edges: list[Edge[N]]
    nodes: list[N]

    @strawberry.field(description="Where this page lies in its list.")
    def page_info(self: Listed) -> PageInfo:
        """Where the page lies."""
        edges = self.page.edges
        return PageInfo(
            has_next_page=self.page.has_next,
            has_previous_page=self.page.has_previous,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        )

    @strawberry.field(
        description="How many rows the whole list has under its filter; counted only when asked for.",
        metadata=cost(COUNTING),
    )
    async def total_count(self: Listed) -> int:
        """How many rows the list has."""
        return await self.count()


def _argument(name: str, kind: Any, description: str) -> StrawberryArgument:
    return StrawberryArgument(
        python_name=name,
        graphql_name=None,
        type_annotation=StrawberryAnnotation(kind),
        default=UNSET,
        description=description,
    )


class Lists:
    """What a list can be filtered and ordered by.

    `filter_input` and `order_input` are the schema's, `filter_struct` is the domain's; `order` is the default.
    """

    def __init__(
        self, order_input: type, order: Order, filter_struct: type[msgspec.Struct], filter_input: type | None = None
    ) -> None:
        self._order = order
        self._filter_struct = filter_struct
        self.arguments = [
            _argument("first", int | None, "How many rows to give from the beginning, or after `after`."),
            _argument("after", str | None, "The cursor after which the page begins."),
            _argument("last", int | None, "How many rows to give from the end, or before `before`."),
            _argument("before", str | None, "The cursor before which the page ends."),
            _argument("order_by", order_input | None, "What the list is ordered by."),
        ]
        if filter_input is not None:
            self.arguments.append(_argument("filter", filter_input | None, "Which rows the list holds."))

    def request(self, given: Mapping[str, Any], *, nested: bool) -> PageRequest:
        """The page that a field's arguments ask for; raises Invalid."""
        chosen, order_by = given.get("filter"), given.get("order_by")
        request = PageRequest(
            order=Order(order_by.field.value, order_by.direction) if order_by else self._order,
            filter=into(self._filter_struct, chosen, "filter") if chosen else self._filter_struct(),
            first=given.get("first"),
            after=given.get("after"),
            last=given.get("last"),
            before=given.get("before"),
        )
        return request.check(LARGEST_NESTED_SIZE if nested else LARGEST_SIZE)


class _RootList(StrawberryField):
    """A list at the root of the schema."""

    page: Any
    count: Any
    lists: Lists
    needs: Action | None
    leads_to_several = False

    @property
    def is_basic_field(self) -> bool:
        """Never: it needs the context."""
        return False

    @property
    def is_async(self) -> bool:
        """Always: it asks the database."""
        return True

    @property
    def arguments(self) -> list[StrawberryArgument]:
        """Those of every list, and its filter."""
        return self.lists.arguments

    @arguments.setter
    def arguments(self, _: list[StrawberryArgument]) -> None:
        raise AttributeError("a list's arguments are those that it declares")

    def __copy__(self) -> "_RootList":
        copied = super().__copy__()
        copied.page, copied.count, copied.lists, copied.needs = self.page, self.count, self.lists, self.needs
        return copied

    @property
    def reads(self) -> Needs:
        """Nothing of the root."""
        return NOTHING

    async def get_result(self, source: Any, info: Info | None, args: list[Any], kwargs: Any) -> Listed:  # noqa: ARG002 - Strawberry's signature
        """A page of the list."""
        if info is None:
            raise TypeError("a list needs the context")
        return await self._listed(info.context, kwargs, None)

    async def column(
        self, sources: Sequence[Any], context: Context, arguments: Mapping[str, Any], needed: Needs
    ) -> list[Listed]:
        """The page, for the one root that there is."""
        columns = needed | {"id"} if needed is not None and narrows(self.page) else None
        return [await self._listed(context, arguments, columns)] * len(sources)

    async def _listed(self, context: Context, arguments: Mapping[str, Any], columns: Needs) -> Listed:
        request = self.lists.request(arguments, nested=False)
        if self.needs is not None:
            require(await context.viewer(), self.needs)
        page = await context.read_columns(columns, self.page, request)
        return Listed(page, lambda: context.read(self.count, request))


def listed(
    page: Any,
    count: Any,
    lists: Lists,
    description: str,
    *,
    needs: Action | None = None,
    cost: Mapping[str, Any] = READS,
) -> Any:
    """A list at the root: `page` and `count` are methods of a repository that take the viewer and a page request.

    `needs` is the action without which a role is forbidden the whole list; `cost` is beside that of the rows.
    """
    field = _RootList(description=description, metadata=dict(cost))
    field.page, field.count, field.lists, field.needs = page, count, lists, needs
    return field
