"""The tools that the general agent has, what models are told of them, and how a call becomes what it has found."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from domain.access import Viewer
from domain.assistant.models import Call, ToolSpec
from domain.assistant.tools import Found, Tool, ToolFailed
from domain.assistant.tools.cash import CASH
from domain.assistant.tools.find_client import FIND_CLIENT
from domain.assistant.tools.holdings import HOLDINGS
from domain.assistant.tools.orders import ORDERS
from domain.assistant.tools.prices import PRICES
from domain.errors import NotFound
from domain.work import Work

TOOLS: Final[tuple[Tool[Any], ...]] = (FIND_CLIENT, HOLDINGS, ORDERS, CASH, PRICES)
_BY_NAME: Final[Mapping[str, Tool[Any]]] = {tool.name: tool for tool in TOOLS}
_REFERENCE: Final = "#/$defs/"


def spec_of(tool: Tool[Any]) -> ToolSpec:
    """A tool as models are told of it: its arguments are one object schema that refers to nothing outside itself."""
    schema = msgspec.json.schema(tool.arguments)
    return ToolSpec(tool.name, tool.description, _inlined(schema, schema["$defs"]))


def line_of(call: Call) -> str:
    """What a call looks up, told to people. Raises ToolFailed."""
    tool, arguments = _read(call)
    return tool.line(arguments)


async def look_up(work: Work, viewer: Viewer, call: Call) -> Found:
    """What a call finds, as the viewer sees it. Raises ToolFailed."""
    tool, arguments = _read(call)
    try:
        return await tool.call(work, viewer, arguments)
    except NotFound as error:
        raise ToolFailed("There is no such object among those that the user sees.") from error


def _read(call: Call) -> tuple[Tool[Any], msgspec.Struct]:
    """The tool that is called, and its arguments; what models get wrong is told to them."""
    tool = _BY_NAME.get(call.name)
    if tool is None:
        raise ToolFailed(f"There is no tool {call.name[:64]!r}; the tools are {', '.join(_BY_NAME)}.")
    try:
        # Some models write nothing where there is nothing to say.
        return tool, msgspec.json.decode(call.arguments.strip() or "{}", type=tool.arguments)
    except msgspec.ValidationError as error:
        raise ToolFailed(f"The arguments of {tool.name} do not fit its schema: {error}.") from error
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise ToolFailed(f"The arguments of {tool.name} are not valid JSON: give one JSON object.") from error


def _inlined(schema: Any, known: Mapping[str, Any]) -> Any:
    """A schema with what it refers to put in its place, and without the names and words that are our classes' own."""
    if isinstance(schema, list):
        return [_inlined(each, known) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        named = known[schema["$ref"].removeprefix(_REFERENCE)]
        return _inlined({key: value for key, value in named.items() if key not in {"title", "description"}}, known)
    return {key: _inlined(value, known) for key, value in schema.items() if key != "$defs"}
