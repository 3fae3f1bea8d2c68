"""Documents that were parsed and found valid, and the plans of their operations, kept for the next who sends them."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final, Generic, TypeVar

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    Node,
    OperationDefinitionNode,
    VariableNode,
    Visitor,
    get_operation_ast,
    visit,
)
from graphql.execution.values import VariableValues
from strawberry.types.graphql import OperationType

from graph.cost import Priced, price
from graph.execution.compiling import Compiler, Unplanned
from graph.execution.introspection import Introspected, asks_schema_alone, introspected
from graph.execution.plan import Level
from graph.execution.subject import Host, Subject
from graph.execution.variables import Variables

# A parsed document weighs about a hundred times its text.
MOST_DOCUMENTS: Final = 1_000
MOST_CHARACTERS: Final = 1_000_000
# Of all operations together: a plan of a hundred fields weighs a hundred kilobytes.
MOST_PLANS: Final = 500
MOST_PRICES: Final = 5_000
# Of all operations together: the whole schema is a megabyte, and tools ask for it in two or three ways.
MOST_INTROSPECTED: Final = 8
LARGEST_INTROSPECTED: Final = 2_000_000
# Dates tell how long a list is; longer texts weigh nothing.
LONGEST_WEIGHTY: Final = 10

T = TypeVar("T")


class Remembered(Generic[T]):
    """What was asked for last, by what it was made for; as many as fit, and none that does not fit by itself."""

    def __init__(self, most: int, fits: Callable[[T], bool] = lambda _: True) -> None:
        self._most = most
        self._fits = fits
        self._made: OrderedDict[tuple[Any, ...], T] = OrderedDict()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._made)

    def get(self, key: tuple[Any, ...], make: Callable[[], T]) -> T:
        """What was made for this, or is made now."""
        known = self._made.get(key)
        if known is not None:
            self._made.move_to_end(key)
            return known
        made = make()
        if not self._fits(made):
            return made
        self._made[key] = made
        if len(self._made) > self._most:
            self._made.popitem(last=False)
        return made


class Memory:
    """The plans and the prices of operations, and what the schema says, of which all together have so many."""

    def __init__(self) -> None:
        self.plans: Remembered[Level] = Remembered(MOST_PLANS)
        self.prices: Remembered[Priced] = Remembered(MOST_PRICES)
        self.introspected: Remembered[Introspected] = Remembered(
            MOST_INTROSPECTED, lambda told: told.size <= LARGEST_INTROSPECTED
        )


class _Reading(Visitor):
    """What has to be known of a document before it is kept: the variables that conditions depend on."""

    def __init__(self) -> None:
        super().__init__()
        self.conditions: dict[str, None] = {}
        self.introspects = False

    def enter_directive(self, node: Any, *_: Any) -> None:
        """Note the variables of `@skip` and `@include`."""
        if node.name.value in {"skip", "include"}:
            values = (argument.value for argument in node.arguments)
            self.conditions |= {value.name.value: None for value in values if isinstance(value, VariableNode)}

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        """Note whether the schema itself is asked for."""
        self.introspects = self.introspects or node.name.value in {"__schema", "__type"}


def beneath(subject: Subject) -> frozenset[str]:
    """The variables that answers depend on, but for those that only the root's own arguments do."""
    used = _Used()
    for node in (*subject.operation.selection_set.selections, *subject.fragments.values()):
        for part in _parts(node):
            visit(part, used)
    return frozenset(used.names)


def _parts(node: Node) -> Iterator[Node]:
    """A field without its arguments; anything else whole."""
    if not isinstance(node, FieldNode):
        yield node
        return
    yield from node.directives or ()
    if node.selection_set is not None:
        yield node.selection_set


class _Used(Visitor):
    """Collects the names of variables."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        """Note one."""
        self.names.add(node.name.value)


class Operation:
    """One operation of a valid document; its plans and prices are made once, and kept with those of all others."""

    def __init__(self, subject: Subject, document: "Document", memory: Memory) -> None:
        self.subject = subject
        self.variables = Variables(subject.host.schema, subject.operation)
        self.document = document
        self._memory = memory
        self._declared = [each.variable.name.value for each in subject.operation.variable_definitions or ()]
        self.kind: str = subject.operation.operation.value
        self.type = OperationType(self.kind)

    @cached_property
    def beneath(self) -> frozenset[str]:
        """The variables that a subscription's answers may depend on: all but those that its own field alone has."""
        return beneath(self.subject)

    def is_planned(self, given: Mapping[str, Any]) -> bool:
        """Whether it is certain that variables as a client has given them get a plan, or errors.

        All do but introspection, and a condition that is null, which validation lets pass where it has a default.
        """
        if self.document.introspects or self.type is OperationType.SUBSCRIPTION:
            return False
        conditions = self.document.conditions
        return not (conditions and any(name in given and given[name] is None for name in conditions))

    def plan(self, variables: VariableValues) -> Level:
        """The plan for what the variables decide. Raises Unplanned."""
        if self.document.introspects:
            raise Unplanned("introspection")
        key: tuple[Any, ...] = (self,)
        for name in self.document.conditions:
            value = variables.coerced.get(name)
            # Of another operation's condition the name may be anything here.
            key += (value if isinstance(value, bool) else None,)
        return self._memory.plans.get(key, lambda: self._compile(variables))

    def introspected(self, text: str) -> Introspected | None:
        """The answer to a document of this text that asks for the schema alone; none if it asks for more.

        Such documents are not kept, for who may ask is checked with them.
        """
        operation = self.subject.operation
        if not asks_schema_alone(operation):
            return None
        key = (text, operation.name.value if operation.name else None)
        made = self._memory.introspected.get
        return made(key, lambda: introspected(self.subject, self.document.node, self.price({})))

    def price(self, given: Mapping[str, Any]) -> Priced:
        """What the operation costs at most with the variables that a client has given."""
        key = (self, *[(name, _weighty(given[name])) for name in self._declared if name in given])
        return self._memory.prices.get(key, lambda: self._price(given))

    def _price(self, given: Mapping[str, Any]) -> Priced:
        host, operation = self.subject.host, self.subject.operation
        root = host.schema.get_root_type(operation.operation)
        return price(host.weights, root.name if root else "", self.document.node, operation, given)

    def _compile(self, variables: VariableValues) -> Level:
        # Of the variables the plan keeps these alone, for it outlives the request that it is made in.
        kept = [name for name in self.document.conditions if isinstance(variables.coerced.get(name), bool | None)]
        decisive = VariableValues(
            {name: variables.sources[name] for name in kept if name in variables.sources},
            {name: variables.coerced[name] for name in kept if name in variables.coerced},
        )
        try:
            return Compiler(self.subject, decisive).root()
        except GraphQLError as error:
            # A condition that is null, which graphql-core finds at its place.
            raise Unplanned("a condition") from error


class Document:
    """A valid document."""

    def __init__(self, host: Host, node: DocumentNode, memory: Memory) -> None:
        self.node = node
        self._host = host
        self._memory = memory
        read = _Reading()
        visit(node, read)
        self.introspects = read.introspects
        self.conditions = tuple(read.conditions)
        self._fragments = {each.name.value: each for each in _fragments(node)}
        self._operations: dict[str | None, Operation] = {}

    def operation(self, name: str | None) -> Operation | None:
        """The operation of a name, or the only one; none if there is none such."""
        if name not in self._operations:
            found = get_operation_ast(self.node, name)
            if found is None:
                return None
            self._operations[name] = self._operation(found)
        return self._operations[name]

    def _operation(self, found: OperationDefinitionNode) -> Operation:
        return Operation(Subject(self._host, found, self._fragments), self, self._memory)


def _weighty(value: Any) -> Any:
    """As much of a variable as a price may depend on: numbers, lengths, and short texts."""
    if isinstance(value, list):
        return "list", len(value)
    if isinstance(value, str):
        return value if len(value) <= LONGEST_WEIGHTY else "text"
    # Told apart, for True is 1.
    return (type(value).__name__, value) if value is None or isinstance(value, bool | int | float) else "object"


def _fragments(node: DocumentNode) -> Iterator[FragmentDefinitionNode]:
    return (each for each in node.definitions if isinstance(each, FragmentDefinitionNode))


def digest_of(text: str) -> str:
    """The name that a document has by itself: the SHA-256 of its text, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Documents:
    """The documents that were asked for last, as many as fit."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._memory = Memory()
        self._known: OrderedDict[str, Document] = OrderedDict()
        self._characters = 0
        self._texts: dict[str, str] = {}
        self._trusted: dict[str, Document] = {}

    def document(self, node: DocumentNode) -> Document:
        """A document that has been found valid."""
        return Document(self.host, node, self._memory)

    def trust(self, text: str, document: Document) -> None:
        """Keep a valid document for good."""
        self._trusted[text] = document

    def text_of(self, digest: str) -> str | None:
        """The text of a document that is kept, by its SHA-256 in hexadecimal."""
        return self._texts.get(digest)

    def get(self, text: str) -> Document | None:
        """The document of a text, if it is known to be valid."""
        if text in self._trusted:
            return self._trusted[text]
        known = self._known.get(text)
        if known is not None:
            self._known.move_to_end(text)
        return known

    def keep(self, text: str, document: Document) -> None:
        """Keep a valid document, in the place of those that nobody has asked for the longest."""
        if text in self._known or len(text) > MOST_CHARACTERS:
            return
        self._known[text] = document
        self._texts[digest_of(text)] = text
        self._characters += len(text)
        while len(self._known) > MOST_DOCUMENTS or self._characters > MOST_CHARACTERS:
            forgotten, _ = self._known.popitem(last=False)
            self._characters -= len(forgotten)
            del self._texts[digest_of(forgotten)]
