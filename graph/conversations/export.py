"""A conversation as a Markdown document."""

from collections.abc import Iterator, Sequence
from typing import Final

from domain.conversations import blocks
from domain.conversations.blocks import AnyBlock
from domain.conversations.entities import Conversation, Message, MessageRole
from graph.context import Context
from persistence.conversations import Conversations, Messages
from persistence.identity import Identities

MOST_EXPORTED: Final = 2_000
SPEAKERS: Final = {
    MessageRole.ASSISTANT: "Assistant",
    MessageRole.SYSTEM: "System",
    MessageRole.TOOL: "Tool",
}


async def as_markdown(context: Context, conversation: Conversation) -> str:
    """What the viewer sees of a conversation: its title, and each message under whoever wrote it and when, in UTC."""
    messages = await context.read(Messages.transcript, conversation.id, MOST_EXPORTED)
    titles = await context.read(Conversations.titles, [conversation.id])
    authors = {message.author_id for message in messages if message.author_id}
    names = {user.id: user.name for user in await context.read(Identities.by_ids, sorted(authors))}
    lines = [f"# {_plain(titles[0].title) if titles else 'Conversation'}"]
    for message in messages:
        speaker = SPEAKERS.get(message.role) or (message.author_id and names.get(message.author_id)) or "Somebody"
        lines += [f"## {_plain(speaker)}, {message.created_at:%Y-%m-%d %H:%M} UTC", *_parts(message)]
    return "\n\n".join(lines) + "\n"


def _parts(message: Message) -> Iterator[str]:
    yield from filter(None, map(_part, blocks.read(message.blocks)))


def _part(block: AnyBlock) -> str:
    if isinstance(block, blocks.TextBlock | blocks.TableBlock | blocks.ChartBlock):
        return _body(block)
    return _note(block)


def _body(block: blocks.TextBlock | blocks.TableBlock | blocks.ChartBlock) -> str:
    match block:
        case blocks.TextBlock():
            return block.text
        case blocks.TableBlock():
            return _table(block.title, [column.name for column in block.columns], block.rows)
        case blocks.ChartBlock():
            rows = [(series.name, point.x, str(point.y)) for series in block.series for point in series.points]
            return _table(block.title, ["", block.x.label, block.y.label], rows)


def _note(block: blocks.ActionCardBlock | blocks.ConfirmationBlock | blocks.ErrorBlock | blocks.SystemBlock) -> str:
    match block:
        case blocks.ActionCardBlock():
            return f"- {_plain(block.label)}"
        case blocks.ConfirmationBlock():
            return f"> {_plain(block.summary)} ({block.state.value.lower()})"
        case blocks.ErrorBlock():
            return f"> {_plain(block.message)}"
        case blocks.SystemBlock():
            return f"> {_plain(block.text)}"


def _table(title: str, names: Sequence[str], rows: Sequence[Sequence[str | None]]) -> str:
    head = [_row(names), _row(["---"] * len(names))]
    return "\n".join([f"**{_plain(title)}**", "", *head, *(_row([cell or "" for cell in row]) for row in rows)])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_plain(cell).replace("\\", "\\\\").replace("|", "\\|") for cell in cells) + " |"


def _plain(text: str) -> str:
    """A text on one line."""
    return " ".join(text.split())
