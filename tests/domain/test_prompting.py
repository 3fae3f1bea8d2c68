"""What a model is shown of a conversation: the office's words first, then what was said, within the budget."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid4

import msgspec

from domain.access import Role, Viewer
from domain.assistant.answering import Situation
from domain.assistant.models import Call, Focus, Line, Speaker
from domain.assistant.prompting import TOLD_OF_TOOLS, ContextWindow
from domain.assistant.tokens import counter
from domain.assistant.window import tokens
from domain.conversations import blocks
from domain.conversations.blocks import AnyBlock, TableBlock, TableColumn, TextBlock
from domain.conversations.entities import Context, Insight, Message, MessageRole, stored
from domain.refs import Ref

NOW: Final = datetime(2026, 3, 31, 20, 0, tzinfo=UTC)
CLIENT: Final = Ref("client", UUID(int=7))


def message(role: MessageRole, *parts: AnyBlock, page: str | None = None) -> Message:
    insight = stored(Insight(context=Context(page=page)))
    return Message(uuid4(), uuid4(), role, None, None, None, None, NOW, blocks.stored(parts), insight, 1)


def situation(question: str, *earlier: Message, page: str | None = "client page") -> Situation:
    viewer = Viewer(uuid4(), uuid4(), Role.ADVISOR, None, None, "en_IN", "Asia/Kolkata", (), ())
    return Situation(
        question=message(MessageRole.USER, TextBlock(text=question), page=page),
        answer=message(MessageRole.ASSISTANT),
        earlier=earlier,
        uses=(),
        said="",
        focus=(Focus(CLIENT, "Asha Rao"),),
        viewer=viewer,
        user_name="Meera Joshi",
    )


def test_the_office_speaks_first_and_says_who_asks_where_and_when() -> None:
    first, last = ContextWindow(32_000)(situation("How much cash?"), (), NOW).lines
    assert first.speaker is Speaker.SYSTEM
    for told in ("Meera Joshi", "ADVISOR", "en_IN", "client page", f"Asha Rao ({CLIENT})"):
        assert told in first.text
    # In the user's own time zone the day is over.
    assert "2026-04-01" in first.text
    assert last == Line(Speaker.USER, "How much cash?")


def test_what_was_shown_is_told_in_words() -> None:
    table = TableBlock(title="Cash", columns=(TableColumn("Currency"), TableColumn("Total")), rows=(("INR", None),))
    shown = message(MessageRole.ASSISTANT, table, TextBlock(text="That is all."))
    asked = message(MessageRole.USER, TextBlock(text="And cash?"))
    lines = ContextWindow(32_000)(situation("Sure?", asked, shown), (), NOW).lines
    assert [line.speaker for line in lines[1:]] == [Speaker.USER, Speaker.ASSISTANT, Speaker.USER]
    assert lines[2].text == "[Table: Cash]\nCurrency | Total\nINR | \n\nThat is all."


def test_what_tools_have_found_for_this_answer_comes_last_and_an_empty_message_not_at_all() -> None:
    rounds = (Line(Speaker.ASSISTANT, "", (Call("1", "cash", "{}"),)), Line(Speaker.TOOL, "{}", call_id="1"))
    lines = ContextWindow(32_000)(situation("Cash?", message(MessageRole.ASSISTANT)), rounds, NOW).lines
    assert lines[1:] == (Line(Speaker.USER, "Cash?"), *rounds)


def test_tools_are_part_of_the_budget() -> None:
    long = [message(MessageRole.USER, TextBlock(text=f"{number} " + "word " * 400)) for number in range(40)]
    lines = ContextWindow(12_000)(situation("And now?", *long), (), NOW).lines
    count = counter()
    assert sum(tokens(line, count) for line in lines) + count(TOLD_OF_TOOLS) <= 12_000
    assert lines[-1].text == "And now?"
    assert len(lines) > 2
    assert msgspec.json.decode(TOLD_OF_TOOLS)
