"""Documents that were parsed and found valid, and the plans of their operations, kept for the next who sends them."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    OperationDefinitionNode,
    VariableNode,
    Visitor,
    get_operation_ast,
    visit,
)
from graphql.execution.values import VariableValues

from graph.cost import Priced, price
from graph.execution.compiling import Compiler, Unplanned
from graph.execution.plan import Level
from graph.execution.subject import Host, Subject

# A parsed document weighs about a hundred times its text.
MOST_DOCUMENTS: Final = 1_000
MOST_CHARACTERS: Final = 1_000_000
# Outcomes of `@skip` and `@include` of one operation that are planned; clients use few of them.
MOST_PLANS: Final = 16
# Prices of one operation, for page sizes and conditions that differ.
MOST_PRICES: Final = 64
# Dates tell how long a list is; longer texts weigh nothing.
LONGEST_WEIGHTY: Final = 10

T = TypeVar("T")


class Remembered(Generic[T]):
    """What was made last, by what it was made for; as many as fit."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._made: OrderedDict[tuple[Any, ...], T] = OrderedDict()

    def get(self, key: tuple[Any, ...], make: Callable[[], T]) -> T:
        """What was made for this, or is made now."""
        known = self._made.get(key)
        if known is None:
            known = self._made[key] = make()
            if len(self._made) > self._most:
                self._made.popitem(last=False)
        return known


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


class Operation:
    """One operation of a valid document, with the plans of it that were asked for."""

    def __init__(
        self, subject: Subject, document: DocumentNode, conditions: tuple[str, ...], *, introspects: bool
    ) -> None:
        self.subject = subject
        self._document = document
        self._conditions = conditions
        self._introspects = introspects
        self._plans: Remembered[Level] = Remembered(MOST_PLANS)
        self._prices: Remembered[Priced] = Remembered(MOST_PRICES)

    def plan(self, variables: VariableValues) -> Level:
        """The plan for what the variables decide. Raises Unplanned."""
        if self._introspects:
            raise Unplanned("introspection")
        decided = tuple(variables.coerced.get(name) for name in self._conditions)
        return self._plans.get(decided, lambda: self._compile(variables))

    def price(self, given: Mapping[str, Any]) -> Priced:
        """What the operation costs at most with the variables that a client has given."""
        weighty = tuple((name, _weighty(value)) for name, value in given.items())
        return self._prices.get(weighty, lambda: self._price(given))

    def _price(self, given: Mapping[str, Any]) -> Priced:
        host, operation = self.subject.host, self.subject.operation
        root = host.schema.get_root_type(operation.operation)
        return price(host.weights, root.name if root else "", self._document, operation, given)

    def _compile(self, variables: VariableValues) -> Level:
        # Of the variables the plan keeps these alone, for it outlives the request that it is made in.
        kept = VariableValues(
            {name: value for name, value in variables.sources.items() if name in self._conditions},
            {name: value for name, value in variables.coerced.items() if name in self._conditions},
        )
        try:
            return Compiler(self.subject, kept).root()
        except GraphQLError as error:
            # A condition that is null, which graphql-core finds at its place.
            raise Unplanned("a condition") from error


class Document:
    """A valid document."""

    def __init__(self, host: Host, node: DocumentNode) -> None:
        self.node = node
        self._host = host
        read = _Reading()
        visit(node, read)
        self.introspects = read.introspects
        self._conditions = tuple(read.conditions)
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
        subject = Subject(self._host, found, self._fragments)
        return Operation(subject, self.node, self._conditions, introspects=self.introspects)


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
        self._known: OrderedDict[str, Document] = OrderedDict()
        self._characters = 0
        self._texts: dict[str, str] = {}
        self._trusted: dict[str, Document] = {}

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
