"""What is executed, and the schema that it is valid for."""

import msgspec
from graphql import FragmentDefinitionNode, GraphQLSchema, OperationDefinitionNode
from strawberry.schema.schema_converter import GraphQLCoreConverter

from graph.cost import Weights


class Host(msgspec.Struct, frozen=True, eq=False):
    """A schema, as graphql-core and as Strawberry know it, and what its fields cost."""

    schema: GraphQLSchema
    converter: GraphQLCoreConverter
    weights: Weights

    @property
    def handled(self) -> bool:
        """Whether exceptions of resolvers are turned into values, which Strawberry's own resolvers do."""
        return bool(self.converter.exception_handlers)


class Subject(msgspec.Struct, frozen=True, eq=False):
    """An operation of a document, and the document's fragments."""

    host: Host
    operation: OperationDefinitionNode
    fragments: dict[str, FragmentDefinitionNode]
