"""Everything with an id: Relay's Node over the domain's entities."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

import strawberry
from strawberry import ID

from domain.entities import Entity
from graph.described import interface
from graph.execution.reading import computed
from graph.ids import id_of, ids_of

Load = Callable[..., Awaitable[Sequence[Any]]]


class OfEntity:
    """A type of the schema over an entity of the domain: resolvers return the entity, never an instance of the type."""

    entity: ClassVar[type[Any]]

    @classmethod
    def is_type_of(cls, obj: Any, _: Any) -> bool:
        """Whether the type shows this object."""
        return isinstance(obj, cls.entity)


@interface
class Node(OfEntity):
    """Anything that has an id and can be read again by it."""

    @strawberry.field(
        description="The id, unique among all objects of all types; opaque to clients.", metadata=computed(ids_of, "id")
    )
    def id(self: Entity) -> ID:
        """The id as clients see it."""
        return ID(id_of(self))
