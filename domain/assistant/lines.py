"""What models are shown: messages as lines, and the whole of it as a run's trace keeps it."""

from collections.abc import Iterable
from typing import Final

import msgspec

from domain.assistant.models import Focus, Line, Speaker
from domain.conversations import blocks as content
from domain.conversations.blocks import AnyBlock
from domain.conversations.entities import Message, MessageRole
from domain.conversations.looking import Looked

SPEAKERS: Final = {
    MessageRole.USER: Speaker.USER,
    MessageRole.ASSISTANT: Speaker.ASSISTANT,
    MessageRole.SYSTEM: Speaker.SYSTEM,
    MessageRole.TOOL: Speaker.ASSISTANT,
}
NOTHING: Final = "nothing in particular"
# As many rows of a table that was shown before as a model needs to know what "the second one" is.
MOST_ROWS: Final = 20


class Shown(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model is shown: the prompt that it begins with, by name and version, and all lines.

    `said` is the beginning of the answer that the reader has seen already.
    """

    prompt: str
    lines: tuple[Line, ...]
    said: str = ""

    @property
    def trace(self) -> str:
        """All of it, as JSON."""
        return msgspec.json.encode(self).decode()


def focus_of(looked: Iterable[Looked]) -> tuple[Focus, ...]:
    """What somebody looks at, as models are told of it."""
    return tuple(Focus(each.ref, each.name) for each in looked)


def line_of(message: Message) -> Line:
    """A message as a model is shown it."""
    text = "\n\n".join(filter(None, map(_words, content.read(message.blocks))))
    return Line(SPEAKERS[message.role], text)


def _words(block: AnyBlock) -> str:
    match block:
        case content.TextBlock():
            return block.text
        case content.TableBlock():
            rows = [[column.name for column in block.columns], *block.rows[:MOST_ROWS]]
            return "\n".join([f"[Table: {block.title}]", *(" | ".join(cell or "" for cell in row) for row in rows)])
        case content.ChartBlock():
            return f"[Chart: {block.title}]"
        case content.ConfirmationBlock():
            return f"[Confirmation: {block.summary}, {block.state.value}]"
        case _:
            return ""
