"""OpenAI's protocol of chat completions: what is sent, and what comes back piece by piece."""

from collections.abc import Sequence
from typing import Any

import msgspec

from domain.assistant.models import Call, Line, ModelRefused, Speaker, ToolSpec

# How an answer ends that has been cut at its longest.
TOO_LONG = "length"


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class Usage(msgspec.Struct, frozen=True):
    """The tokens that an answer has used."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Chunk(msgspec.Struct):
    """A piece of a stream."""

    choices: list[_Choice] | None = None
    usage: Usage | None = None


def messages(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """The lines of a prompt as the protocol has them."""
    return [_message(line) for line in lines]


def _message(line: Line) -> dict[str, Any]:
    message: dict[str, Any] = {"role": line.speaker.value, "content": line.text}
    if line.speaker is Speaker.TOOL:
        message["tool_call_id"] = line.call_id
    if line.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in line.calls
        ]
    return message


def tools(specs: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    """The tools as the protocol has them."""
    return [
        {
            "type": "function",
            "function": {"name": spec.name, "description": spec.description, "parameters": dict(spec.schema)},
        }
        for spec in specs
    ]


def response_format(shape: type[Any]) -> dict[str, Any]:
    """What asks for JSON of a shape, with its schema: an object at the top, as the protocol wants it."""
    (schema,), shapes = msgspec.json.schema_components([shape], ref_template="#/$defs/{name}")
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    whole = shapes.get(name, schema)
    # Where shapes refer to others, or to themselves.
    if b'"$ref"' in msgspec.json.encode(shapes):
        whole = {**whole, "$defs": shapes}
    return {"type": "json_schema", "json_schema": {"name": name or "answer", "schema": whole}}


class Gathering:
    """What has come of an answer: its words are given on at once, its calls when all of it is there."""

    def __init__(self) -> None:
        self.finish: str | None = None
        self.usage: Usage | None = None
        self._calls: list[_Call] = []

    def take(self, chunk: Chunk) -> str:
        """Take a piece, and give its words. Raises ModelRefused where the model declines to answer."""
        self.usage = chunk.usage or self.usage
        words = ""
        for choice in (chunk.choices or [])[:1]:
            delta = choice.delta or _Delta()
            self.finish = choice.finish_reason or self.finish
            if delta.refusal or self.finish == "content_filter":
                raise ModelRefused("it declines to answer that")
            for call in delta.tool_calls or []:
                self._join(call)
            words += delta.content or ""
        return words

    def _join(self, part: _Call) -> None:
        known = self._of(part)
        function = part.function or _Function()
        if known is None:
            self._calls.append(_Call(part.index, part.id, _Function(function.name or "", function.arguments or "")))
        elif known.function is not None:
            known.function.arguments = (known.function.arguments or "") + (function.arguments or "")

    def _of(self, part: _Call) -> _Call | None:
        """The call that a part goes on with; none where it begins another."""
        for known in reversed(self._calls):
            # Some number none of their calls, others all of them 0: a new id is a new call.
            if part.index in {None, known.index} and part.id in {None, "", known.id}:
                return known
        return None

    def calls(self) -> list[Call]:
        """The calls, if they are whole: an answer that was cut at its longest has cut the last of them."""
        made = [
            Call(each.id or f"call_{number}", each.function.name or "", each.function.arguments or "")
            for number, each in enumerate(self._calls)
            if each.function is not None
        ]
        if self.finish == TOO_LONG and made and not _is_json(made[-1].arguments):
            made.pop()
        return made


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
