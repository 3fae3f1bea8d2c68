"""How large a document may be: one rule, which walks each definition once and adds fragments up from memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from graphql import (
    BREAK,
    ASTValidationRule,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VisitorAction,
)

from domain.errors import TooComplex


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one operation may hold, its fragments counted wherever they are spread.

    A depth of 15 is what the full introspection query needs; `tokens` bounds the document before it is parsed.
    `cost` is in points (`graph/cost`), and depends on the variables too.
    """

    depth: int = 15
    fields: int = 1_000
    root_fields: int = 20
    aliases: int = 50
    directives: int = 100
    tokens: int = 5_000
    cost: int = 10_000


@dataclass(frozen=True, slots=True)
class Size:
    """What a definition holds, in the units of Limits."""

    depth: int = 0
    fields: int = 0
    root_fields: int = 0
    aliases: int = 0
    directives: int = 0

    def with_spread(self, spread: "Size", depth: int) -> "Size":
        """The size together with that of a fragment which is spread beneath so many fields."""
        return Size(
            depth=max(self.depth, depth + spread.depth),
            fields=self.fields + spread.fields,
            root_fields=self.root_fields + (0 if depth else spread.root_fields),
            aliases=self.aliases + spread.aliases,
            directives=self.directives + spread.directives,
        )

    def beyond(self, limits: Limits) -> Iterator[tuple[str, str]]:
        """Each limit that is exceeded, with what to say about it."""
        for name, what in (
            ("depth", "levels of fields"),
            ("fields", "fields"),
            ("root_fields", "fields at the root"),
            ("aliases", "aliases"),
            ("directives", "directives"),
        ):
            most = getattr(limits, name)
            # The number itself may have hundreds of digits.
            if getattr(self, name) > most:
                yield name, f"more than {most} {what}"


@dataclass(frozen=True, slots=True)
class Outline:
    """A definition by itself: its own size, and each fragment that it spreads with the depth at which it does."""

    own: Size
    spreads: tuple[tuple[str, int], ...]

    def total(self, fragments: dict[str, Size]) -> Size:
        """The size with its fragments, as far as they are known."""
        size = self.own
        for name, depth in self.spreads:
            size = size.with_spread(fragments.get(name, Size()), depth)
        return size


def limits_rule(limits: Limits) -> type[ASTValidationRule]:
    """The validation rule that refuses documents beyond the limits, as QUERY_TOO_COMPLEX."""

    class LimitsRule(ASTValidationRule):
        def enter_document(self, node: DocumentNode, *_args: Any) -> VisitorAction:
            for operation, size in sizes(node):
                if issues := tuple(size.beyond(limits)):
                    fault = TooComplex(f"The document has {', '.join(issue for _, issue in issues)}.", issues)
                    self.report_error(GraphQLError(str(fault), operation, original_error=fault))
            return BREAK

    return LimitsRule


def sizes(document: DocumentNode) -> list[tuple[OperationDefinitionNode, Size]]:
    """The size of each operation of the document.

    Fragments that form a cycle count nothing: another rule refuses them.
    """
    fragments = totals({d.name.value: outline(d) for d in _fragments(document)})
    operations = (d for d in document.definitions if isinstance(d, OperationDefinitionNode))
    return [(operation, outline(operation).total(fragments)) for operation in operations]


def totals(outlines: dict[str, Outline]) -> dict[str, Size]:
    """The size of each fragment, every one added up once, after those that it spreads."""
    order = TopologicalSorter({name: [spread for spread, _ in o.spreads] for name, o in outlines.items()})
    done: dict[str, Size] = {}
    try:
        for name in order.static_order():
            if name in outlines:
                done[name] = outlines[name].total(done)
    except CycleError:
        return {}
    return done


def outline(definition: OperationDefinitionNode | FragmentDefinitionNode) -> Outline:
    """Count the selections of one definition, without those of its fragments."""
    depth = fields = root_fields = aliases = 0
    directives = len(definition.directives or ())
    spreads: list[tuple[str, int]] = []
    for selection, level in _selections(definition.selection_set):
        directives += len(selection.directives or ())
        if isinstance(selection, FragmentSpreadNode):
            spreads.append((selection.name.value, level))
        elif isinstance(selection, FieldNode):
            fields += 1
            aliases += selection.alias is not None
            root_fields += level == 0
            depth = max(depth, level + 1)
    return Outline(Size(depth, fields, root_fields, aliases, directives), tuple(spreads))


def _selections(top: SelectionSetNode) -> Iterator[tuple[FieldNode | FragmentSpreadNode | InlineFragmentNode, int]]:
    """Every selection beneath, each with the number of fields above it."""
    stack = [(top, 0)]
    while stack:
        selection_set, level = stack.pop()
        for selection in selection_set.selections:
            if not isinstance(selection, FieldNode | FragmentSpreadNode | InlineFragmentNode):
                continue
            yield selection, level
            if not isinstance(selection, FragmentSpreadNode) and selection.selection_set:
                stack.append((selection.selection_set, level + isinstance(selection, FieldNode)))


def _fragments(document: DocumentNode) -> Iterable[FragmentDefinitionNode]:
    return (d for d in document.definitions if isinstance(d, FragmentDefinitionNode))
