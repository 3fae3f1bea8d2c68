"""Every connection of the schema, found by reading it, and what it can be asked."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
)

from tests.support.gql import Answer, Gql

PAGE = """{
    totalCount
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    edges { cursor node { id } }
    nodes { id }
}"""


class Listing(msgspec.Struct, frozen=True):
    """A connection: at the root, or beneath objects of the type `parent`."""

    parent: str
    name: str
    field: Any

    @property
    def nested(self) -> bool:
        """Whether it lies beneath an object."""
        return self.parent != "Query"

    @property
    def node(self) -> GraphQLNamedType:
        """The type of its rows."""
        connection: Any = get_named_type(self.field.type)
        node: GraphQLNamedType = get_named_type(connection.fields["nodes"].type)
        return node

    @property
    def orders(self) -> Sequence[str]:
        """What it can be ordered by."""
        chosen = self.field.args["orderBy"].type.fields["field"].type.of_type
        assert isinstance(chosen, GraphQLEnumType)
        return list(chosen.values)

    @property
    def filter(self) -> GraphQLInputObjectType | None:
        """The type of its filter, if it has one."""
        argument = self.field.args.get("filter")
        return argument.type if argument else None

    @property
    def document(self) -> str:
        """A query for a page of it, with all its arguments as variables."""
        return self.asking(PAGE)

    def asking(self, fields: str) -> str:
        """The same for some fields of a page."""
        variables = ", ".join(f"${name}: {argument.type}" for name, argument in self.field.args.items())
        arguments = ", ".join(f"{name}: ${name}" for name in self.field.args)
        page = f"{self.name}({arguments}) {fields}"
        if not self.nested:
            return f"query ({variables}) {{ {page} }}"
        return f"query ($id: ID!, {variables}) {{ node(id: $id) {{ ... on {self.parent} {{ {page} }} }} }}"

    async def ask(self, gql: Gql, **given: Any) -> Answer:
        """The answer for a page; `id` is the parent's."""
        return await gql.ask(self.document, **{name: value for name, value in given.items() if value is not None})

    async def page(self, gql: Gql, **given: Any) -> Mapping[str, Any]:
        """A page, which must be consistent in itself."""
        data = (await self.ask(gql, **given)).data
        page: Mapping[str, Any] = data["node"][self.name] if self.nested else data[self.name]
        cursors = [edge["cursor"] for edge in page["edges"]]
        assert [edge["node"] for edge in page["edges"]] == page["nodes"]
        ends = (page["pageInfo"]["startCursor"], page["pageInfo"]["endCursor"])
        assert ends == ((cursors[0], cursors[-1]) if cursors else (None, None))
        return page

    def __repr__(self) -> str:
        """Where it is."""
        return f"{self.parent}.{self.name}"


def listings(schema: GraphQLSchema) -> Iterator[Listing]:
    """All connections of the schema."""
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLObjectType) and kind is not schema.subscription_type:
            for name, field in kind.fields.items():
                if _is_connection(field):
                    yield Listing(kind.name, name, field)


def _is_connection(field: GraphQLField) -> bool:
    return {"first", "after", "last", "before", "orderBy"} <= set(field.args)
