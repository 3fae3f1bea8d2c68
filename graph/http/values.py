"""What no text or number of a request may hold, whatever its type: checked before anything runs."""

import json
import math
import re
from typing import Any, Final, TypeAlias

import msgspec
from graphql import (
    SKIP,
    ASTValidationRule,
    GraphQLError,
    GraphQLInputType,
    StringValueNode,
    ValueNode,
    ValuesOfCorrectTypeRule,
    VisitorAction,
)
from graphql.utilities import validate_input_literal

from domain.errors import Invalid
from graph.errors import PLACE_KEY, name_before

# PostgreSQL's text holds no NUL, and UTF-8 holds no half of a surrogate pair.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
UNSTORABLE_ISSUE = "The text holds a NUL or half of a surrogate pair."

# Where a value stands: what it stands in, if that is no variable, and under which key. Not a path each, which thousands
# of values beneath a thousand others would have copied as often.
Place: TypeAlias = "tuple[Place | None, str | int]"


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


# Not orjson: it turns integers beyond 64 bits into floats.
_STRICT: Final = msgspec.json.Decoder()
# Python's, which also takes numbers beyond a double and lone surrogates, so that it can be said where they are.
_LENIENT: Final = json.JSONDecoder(parse_constant=_no_constant)


def decode_json(text: str | bytes) -> Any:
    """Read JSON as RFC 8259 has it, in UTF-8. Raises Invalid, also for what Python's reader chokes on.

    What it gives is what Python's reader would, which is asked for what the faster one refuses.
    """
    try:
        return _STRICT.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return _decode_leniently(text)


def _decode_leniently(text: str | bytes) -> Any:
    try:
        return _LENIENT.decode(text if isinstance(text, str) else text.decode("utf-8"))
    except UnicodeDecodeError:
        raise Invalid.of("", "The text is not UTF-8.") from None
    except ValueError:
        # Its message would quote Python's limits, such as the one on the digits of an integer.
        raise Invalid.of("", "The text is not JSON, or holds a number that is out of range.") from None
    except RecursionError:
        raise Invalid.of("", "The JSON is nested too deeply.") from None


def check_values(variables: dict[str, Any]) -> None:
    """Refuse texts that cannot be stored and numbers beyond a double, naming each variable and the path into it."""
    issues = _issues(variables)
    if issues:
        raise Invalid("; ".join(f"{field}: {issue}" for field, issue in issues), tuple(issues))


def check_document(query: str) -> None:
    """Refuse a document whose text itself holds what cannot be stored (escapes in its literals: `TextRule`)."""
    if UNSTORABLE.search(query):
        raise Invalid.of("query", UNSTORABLE_ISSUE)


def _issues(variables: dict[str, Any], most: int = 5) -> list[tuple[str, str]]:
    # A stack of our own, for variables nest as deep as they like; it is in the order of the document.
    stack: list[tuple[Place, Any]] = [((None, name), value) for name, value in reversed(variables.items())]
    found: list[tuple[str, str]] = []
    while stack and len(found) < most:
        place, value = stack.pop()
        issue = ""
        if isinstance(value, str):
            issue = UNSTORABLE_ISSUE if UNSTORABLE.search(value) else ""
        elif isinstance(value, float):
            issue = "" if math.isfinite(value) else "The number is out of range."
        elif isinstance(value, dict):
            issue = UNSTORABLE_ISSUE if any(map(UNSTORABLE.search, value)) else ""
            stack += [((place, key), item) for key, item in reversed(value.items())]
        elif isinstance(value, list):
            stack += [((place, index), item) for index, item in reversed([*enumerate(value)])]
        if issue:
            found.append((_told(place), issue))
    return found


def _told(place: Place) -> str:
    """The path from a variable into its value."""
    keys: list[str] = []
    within: Place | None = place
    while within is not None:
        within, key = within
        keys.append(f"[{key}]" if isinstance(key, int) else f".{_printable(key)}")
    return "".join(reversed(keys)).removeprefix(".")


def _printable(name: str) -> str:
    return UNSTORABLE.sub("�", name[:60])


class TextRule(ASTValidationRule):
    """Refuses literals whose escapes make text that cannot be stored."""

    def enter_string_value(self, node: StringValueNode, *_args: Any) -> None:
        """Look at the text as it will reach a resolver."""
        if UNSTORABLE.search(node.value):
            self.report_error(GraphQLError(UNSTORABLE_ISSUE, node))


class PlacedValuesRule(ValuesOfCorrectTypeRule):
    """The specification's rule on literals, which also says where: the argument, and the path into its value.

    graphql-core says neither when a scalar's own error arrives.
    """

    def is_valid_value_node(self, node: ValueNode, input_type: GraphQLInputType | None) -> VisitorAction:
        """Check a whole literal."""

        def report(error: GraphQLError, path: list[str | int]) -> None:
            place = name_before(node) + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
            placed = GraphQLError(error.message, error.nodes or node, original_error=error.original_error or error)
            placed.extensions = {PLACE_KEY: place}
            self.report_error(placed)

        if input_type:
            validate_input_literal(node, input_type, report)
        return SKIP
