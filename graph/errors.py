"""Every error that leaves the server gets its code here; what nobody foresaw is masked, and logged."""

import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from graphql import (
    ArgumentNode,
    DirectiveNode,
    GraphQLError,
    GraphQLSyntaxError,
    Node,
    ObjectFieldNode,
    TokenKind,
    ValueNode,
    VariableDefinitionNode,
)
from graphql.validation.validate import ValidationAbortedError
from strawberry.exceptions import MissingQueryError, StrawberryInputCoercionError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.graphql import OperationType

from domain.errors import Fault, Invalid, TooComplex
from graph.disclosure import DISCREET, Disclosure

log = logging.getLogger(__name__)

# A document can hold thousands of mistakes; a person mends a handful at a time.
MOST_REQUEST_ERRORS = 5
# Messages of graphql-core quote the input, which may be a megabyte.
MOST_CHARACTERS = 500

UNEXPECTED = "Something went wrong. The request id finds it in our log."

# The nodes that graphql-core blames when input cannot be read, never when a resolver or a serializer fails.
INPUT_NODES = (ArgumentNode, DirectiveNode, ObjectFieldNode, ValueNode, VariableDefinitionNode)

# Under this extension a rule of ours notes the place, for `details`; it is not sent.
PLACE_KEY = "place"

# graphql-core has no class for these two.
TOO_LONG = re.compile(r"contains more than \d+ (tokens|comments)|nested too deeply")
PLACE = re.compile(
    r"^(?:Variable '\$(?P<variable>\w+)'(?: has invalid value at (?P<path>[^:]*))?|Argument '(?P<argument>\w+)')"
)
TYPE = re.compile(r"^Expected value of type '(?P<type>[^']+)'")
# Suggested are names, which hold no question mark.
SUGGESTION = re.compile(r"\s*Did you mean [^?]*\?")


def answered(
    errors: list[GraphQLError], request_id: str, now: datetime, disclosure: Disclosure = DISCREET
) -> list[GraphQLError]:
    """The errors as a client may see them: coded, masked, and no more than a handful if nothing ran.

    An unexpected error is logged with its traceback, once, however many fields it took down.
    """
    if is_request_error(errors):
        errors = errors[:MOST_REQUEST_ERRORS]
    _log_unexpected(errors, request_id)
    return [_coded(error, _disclosed(error, disclosure), request_id, now) for error in errors]


def is_request_error(errors: list[GraphQLError] | None) -> bool:
    """Whether the operation never ran: an error of execution always has a path."""
    return bool(errors) and not any(error.path for error in errors or ())


def fault_of(error: GraphQLError) -> Fault:
    """The error as one of the expected ones; the bare Fault, INTERNAL, if it is none."""
    root = _root(error)
    if isinstance(root, Fault):
        return _placed(root, error)
    if isinstance(root, CannotGetOperationTypeError | InvalidOperationTypeError | MissingQueryError):
        return Invalid(_operation_issue(root))
    if _blames_input(error):
        return _too_complex(error) or _invalid(error)
    return Fault(UNEXPECTED)


def formatted(fault: Fault, request_id: str, now: datetime) -> GraphQLError:
    """A fault that arose outside of any operation, as it is answered."""
    return _coded(GraphQLError(str(fault)), fault, request_id, now)


def unforeseen(error: Exception, request_id: str, now: datetime, disclosure: Disclosure = DISCREET) -> GraphQLError:
    """Any exception that arose outside of any operation, as it is answered; logged unless it is a fault."""
    return answered([GraphQLError(str(error), original_error=error)], request_id, now, disclosure)[0]


def _disclosed(error: GraphQLError, disclosure: Disclosure) -> Fault:
    """The fault of an error, with what may be told beyond it."""
    fault = fault_of(error)
    if type(fault) is Fault and disclosure.debug:
        return Debugged(_root(error))
    if isinstance(fault, Invalid) and not disclosure.suggestions:
        details = tuple((field, SUGGESTION.sub("", issue)) for field, issue in fault.details)
        return Invalid(SUGGESTION.sub("", str(fault)), details)
    return fault


class Debugged(Fault):
    """INTERNAL with what it was, but for the traceback: for whoever develops against a server of their own."""

    def __init__(self, root: Exception) -> None:
        super().__init__(UNEXPECTED)
        self.root = root

    @property
    def extensions(self) -> dict[str, Any]:
        """The code, with the exception's class and message."""
        debug = {"exception": type(self.root).__qualname__, "message": _cut(str(self.root))}
        return {**super().extensions, "debug": debug}


def _coded(error: GraphQLError, fault: Fault, request_id: str, now: datetime) -> GraphQLError:
    stamp = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return GraphQLError(
        _cut(str(fault)),
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        original_error=error.original_error,
        extensions={**fault.extensions, "timestamp": stamp, "requestId": request_id},
    )


def _log_unexpected(errors: list[GraphQLError], request_id: str) -> None:
    # A batch that fails hands one and the same exception to each of its fields.
    unexpected = {id(_root(error)): error for error in reversed(errors) if type(fault_of(error)) is Fault}
    for error in unexpected.values():
        place = ".".join(map(str, error.path or ())) or "the request"
        log.error("Unexpected error in %s, request %s", place, request_id, exc_info=_root(error))


def _chain(error: GraphQLError) -> Iterator[Exception]:
    link: Exception | None = error
    while link is not None:
        yield link
        link = link.original_error if isinstance(link, GraphQLError) else None


def _root(error: GraphQLError) -> Exception:
    *_, root = _chain(error)
    return root


def _blames_input(error: GraphQLError) -> bool:
    """Whether the client's document or variables are at fault, judged by classes and by the nodes blamed."""
    classes = (GraphQLSyntaxError, StrawberryInputCoercionError, ValidationAbortedError)
    if any(isinstance(link, classes) for link in _chain(error)):
        return True
    if error.nodes and isinstance(error.nodes[0], INPUT_NODES):
        return True
    # Validation blames fields too; but then nothing has run, and nothing was raised but by graphql-core.
    return not error.path and isinstance(_root(error), GraphQLError)


def _too_complex(error: GraphQLError) -> TooComplex | None:
    if isinstance(error, ValidationAbortedError):
        return TooComplex()
    if isinstance(error, GraphQLSyntaxError) and TOO_LONG.search(error.message):
        return TooComplex(error.message.removeprefix("Syntax Error: "))
    return None


def _invalid(error: GraphQLError) -> Invalid:
    message, place = _public(error), _place(error)
    return Invalid(message, ((place, message),))


def _public(error: GraphQLError) -> str:
    """The message, without the words of an exception that a scalar's parser let through."""
    *links, root = _chain(error)
    if isinstance(root, GraphQLError):
        return _cut(error.message)
    found = TYPE.match(str(links[-1].args[0]))
    issue = f"Expected a value of type '{found['type']}'." if found else "The value cannot be read as its type."
    return f"{_place(error)}: {issue}" if _place(error) else issue


def _placed(fault: Fault, error: GraphQLError) -> Fault:
    """A fault of a scalar's parser does not know which field it read: say so for it."""
    if not isinstance(fault, Invalid) or not _blames_input(error):
        return fault
    issues = [(field, issue) for field, issue in fault.details if field] or [(_place(error), str(fault))]
    return Invalid("; ".join(f"{field}: {issue}" if field else issue for field, issue in issues), tuple(issues))


def _place(error: GraphQLError) -> str:
    """Name of the variable (with the path into it), argument or field at fault; empty where nothing tells."""
    if known := (error.extensions or {}).get(PLACE_KEY):
        return _cut(str(known))
    named = PLACE.match(error.message)
    if named:
        return _cut((named["variable"] or named["argument"] or "") + (named["path"] or ""))
    return _cut(next((name for node in error.nodes or () if (name := _name(node))), ""))


def _name(node: Node) -> str:
    if isinstance(node, ValueNode):
        return name_before(node)
    name = getattr(getattr(node, "variable", node), "name", None)
    return str(name.value) if name else ""


def name_before(node: ValueNode) -> str:
    """Name of the argument or input field that a literal is given to; nodes do not know their parents."""
    token = node.loc.start_token.prev if node.loc else None
    while token and token.kind in {TokenKind.COMMENT, TokenKind.COLON, TokenKind.BRACKET_L}:
        token = token.prev
    return str(token.value) if token and token.kind is TokenKind.NAME else ""


def _operation_issue(error: Exception) -> str:
    if isinstance(error, CannotGetOperationTypeError):
        if error.operation_name is None:
            return "The document holds no operation, or several: say which one by operationName."
        return _cut(f'The document holds no operation named "{error.operation_name}".')
    if isinstance(error, InvalidOperationTypeError):
        if error.operation_type is OperationType.SUBSCRIPTION:
            return "Subscriptions need a WebSocket or the media type text/event-stream."
        return "Mutations need the method POST."
    return "The request has no query."


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + "…"
