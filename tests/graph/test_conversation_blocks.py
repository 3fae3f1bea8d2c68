"""Blocks of all kinds, and statuses that nothing produces yet, as they are stored and shown."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import pytest

from domain.access import Role
from domain.conversations import blocks as content
from domain.conversations import entities
from domain.conversations.blocks import (
    ActionCardBlock,
    AnyBlock,
    Axis,
    CardKind,
    CellKind,
    ChartBlock,
    ChartKind,
    ConfirmationBlock,
    ConfirmationState,
    ErrorBlock,
    Point,
    Series,
    SystemBlock,
    SystemKind,
    TableBlock,
    TableColumn,
    TextBlock,
)
from domain.conversations.costs import Usage
from domain.conversations.entities import AgentState, Citation, Insight, Mention, MessageRole, Step, ToolNote
from domain.refs import Ref
from graph.ids import decode, id_of
from persistence.conversations.tables import messages, run_steps
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql
from tests.support.served import Served, socket_to
from tests.support.talking import FOLLOW, cursor_of, message, say, talk

CONFIRMATION: Final = UUID("0192f000-0000-7000-8000-000000000001")
LATER: Final = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
TABLE: Final = TableBlock(
    title="Holdings",
    columns=(
        TableColumn("Share", CellKind.REF),
        TableColumn("Name"),
        TableColumn("Units", CellKind.NUMBER),
        TableColumn("Value", CellKind.MONEY, "INR"),
        TableColumn("Part", CellKind.PERCENT),
        TableColumn("Since", CellKind.DATE),
    ),
    rows=(
        ("instrument_0192f00000007000800000000000000a", "A | B", "10.5", "1050.0000", "0.0525", "2026-03-31"),
        (None, None, None, None, None, None),
    ),
)
CHART: Final = ChartBlock(
    title="Growth",
    chart=ChartKind.LINE,
    x=Axis("Day", CellKind.DATE),
    y=Axis("Value", CellKind.MONEY, "INR"),
    series=(
        Series(
            "Mine",
            (Point("2026-03-31", Decimal("1.1")), Point("2026-04-01", Decimal(-2))),
        ),
    ),
)
PLACE: Final = ConfirmationBlock(
    id=CONFIRMATION,
    summary="Buy ten shares",
    mutation="placeOrder",
    input={"quantity": "10", "nested": [1, None, {"deep": True}]},
    state=ConfirmationState.PENDING,
    expires_at=LATER,
)


async def stored(
    make: Make,
    conversation: str,
    *made: AnyBlock,
    role: MessageRole = MessageRole.ASSISTANT,
    insight: Insight | None = None,
) -> str:
    """A message as it is stored, by its id."""
    row = entities.Message(
        id=make.new_id(),
        conversation_id=decode(conversation, "conversation", "id"),
        role=role,
        author_id=None,
        agent="tax",
        reply_to_id=None,
        run_id=None,
        created_at=make.now,
        blocks=content.stored(made),
        insight=entities.stored(insight or Insight()),
        version=3,
    )
    await make.add(messages, row)
    return str(Ref("message", row.id))


async def shown(make: Make, gql: Gql, who: SignedIn, *made: AnyBlock) -> list[Any]:
    """These blocks, stored and read."""
    answer = await stored(make, await talk(gql, who), *made)
    return list((await message(gql, who, answer))["blocks"])


async def markdown(gql: Gql, who: SignedIn, conversation: str) -> str:
    """A conversation as a document."""
    document = "query ($id: ID!) { node(id: $id) { ... on Conversation { markdown } } }"
    return str((await gql.as_(who).run(document, id=conversation))["node"]["markdown"])


async def test_text_table_and_chart(make: Make, gql: Gql) -> None:
    advisor = await make.advisor()
    text, table, chart = await shown(make, gql, advisor, TextBlock(text="**Well** \U0001f4b0"), TABLE, CHART)
    assert text == {"__typename": "TextBlock", "text": "**Well** \U0001f4b0"}
    assert (table["__typename"], table["title"]) == ("TableBlock", "Holdings")
    assert table["columns"][3] == {"name": "Value", "cells": "MONEY", "currency": "INR"}
    assert [column["cells"] for column in table["columns"]] == [kind.value for kind in _kinds(TABLE.columns)]
    assert table["rows"] == [list(row) for row in TABLE.rows]
    assert chart == {
        "__typename": "ChartBlock",
        "title": "Growth",
        "chart": "LINE",
        "x": {"label": "Day", "values": "DATE", "currency": None},
        "y": {"label": "Value", "values": "MONEY", "currency": "INR"},
        "series": [{"name": "Mine", "points": [{"x": "2026-03-31", "y": "1.1"}, {"x": "2026-04-01", "y": "-2"}]}],
    }


def _kinds(columns: Sequence[TableColumn]) -> list[CellKind]:
    return [column.cells for column in columns]


@pytest.mark.parametrize("kind", list(ChartKind))
async def test_charts_of_all_kinds(make: Make, gql: Gql, kind: ChartKind) -> None:
    advisor = await make.advisor()
    chart = ChartBlock(title="", chart=kind, x=Axis("x"), y=Axis("y"), series=())
    (found,) = await shown(make, gql, advisor, chart)
    assert (found["chart"], found["series"]) == (kind.value, [])


async def test_action_cards(make: Make, gql: Gql) -> None:
    advisor, other = await make.advisor(), await make.advisor()
    assert advisor.book
    assert other.book
    own, hidden = await make.client(advisor.book), await make.client(other.book)
    cards = [
        ActionCardBlock(card=CardKind.NAVIGATE, label="Open", target=Ref("client", own.id)),
        ActionCardBlock(card=CardKind.NAVIGATE, label="Open", target=Ref("client", hidden.id)),
        ActionCardBlock(
            card=CardKind.MUTATE, label="Mark", operation="mutation { x }", variables={"input": {"a": [1, "b", None]}}
        ),
        ActionCardBlock(card=CardKind.ASK, label="Why?", operation="Why is that so?"),
    ]
    opened, closed, mutate, ask = await shown(make, gql, advisor, *cards)
    assert (opened["card"], opened["targetId"], opened["target"]) == ("NAVIGATE", id_of(own), {"id": id_of(own)})
    # What it leads to is seen by whoever may see that.
    assert (closed["targetId"], closed["target"]) == (id_of(hidden), None)
    assert (mutate["operation"], mutate["variables"]) == ("mutation { x }", {"input": {"a": [1, "b", None]}})
    assert (ask["card"], ask["operation"], ask["variables"], ask["target"]) == ("ASK", "Why is that so?", None, None)


@pytest.mark.parametrize("state", list(ConfirmationState))
async def test_confirmations(make: Make, gql: Gql, state: ConfirmationState) -> None:
    advisor = await make.advisor()
    block = ConfirmationBlock(
        id=CONFIRMATION,
        summary=PLACE.summary,
        mutation=PLACE.mutation,
        input=PLACE.input,
        state=state,
        expires_at=LATER if state is ConfirmationState.PENDING else None,
    )
    (found,) = await shown(make, gql, advisor, block)
    moment = found.pop("expiresAt")
    assert (moment is not None) == (state is ConfirmationState.PENDING)
    assert moment is None or datetime.fromisoformat(moment) == LATER
    assert found == {
        "__typename": "ConfirmationBlock",
        "id": str(CONFIRMATION),
        "summary": "Buy ten shares",
        "mutation": "placeOrder",
        "input": PLACE.input,
        "state": state.value,
    }


async def test_errors_and_what_the_system_tells(make: Make, gql: Gql) -> None:
    advisor = await make.advisor()
    made: list[AnyBlock] = [
        ErrorBlock(code="MODEL_DOWN", message="Down.", retryable=True, suggestion="Wait."),
        ErrorBlock(code="X", message="No.", retryable=False),
        SystemBlock(about=SystemKind.AGENT_SWITCHED, text="Now tax.", agent="tax"),
        SystemBlock(about=SystemKind.STATUS, text="So far."),
    ]
    found = await shown(make, gql, advisor, *made)
    assert [block["__typename"] for block in found] == ["ErrorBlock"] * 2 + ["SystemBlock"] * 2
    assert [(block["retryable"], block["suggestion"]) for block in found[:2]] == [(True, "Wait."), (False, None)]
    assert [(block["about"], block["agent"]) for block in found[2:]] == [("AGENT_SWITCHED", "tax"), ("STATUS", None)]


@pytest.mark.parametrize("role", list(MessageRole))
async def test_messages_of_all_roles_with_what_is_known_of_them(make: Make, gql: Gql, role: MessageRole) -> None:
    advisor = await make.advisor()
    client = make.new_id()
    insight = Insight(
        tools=(ToolNote("find_client", "Looking", failed=True),),
        usage=Usage(11, 7, ("tests", "embedded"), Decimal("0.000123")),
        intent="find",
        entities=(Mention("amount", "ten lakh", "1000000"), Mention("day", "soon")),
        sentiment="calm",
        citations=(Citation("Client", Ref("client", client)),),
    )
    conversation = await talk(gql, advisor)
    answer = await stored(make, conversation, TextBlock(text="Well."), role=role, insight=insight)
    found = await message(gql, advisor, answer)
    assert (found["role"], found["agent"], found["version"], found["run"]) == (role.value, "tax", 3, None)
    assert found["toolsUsed"] == [{"name": "find_client", "line": "Looking", "failed": True}]
    assert found["usage"] == {
        "inputTokens": 11,
        "outputTokens": 7,
        "models": ["tests", "embedded"],
        "cost": "0.000123",
    }
    assert (found["intent"], found["sentiment"]) == ("find", "calm")
    assert found["entities"] == [
        {"kind": "amount", "text": "ten lakh", "value": "1000000"},
        {"kind": "day", "text": "soon", "value": None},
    ]
    assert found["citations"] == [{"label": "Client", "nodeId": str(Ref("client", client))}]
    assert "Well." in await markdown(gql, advisor, conversation)


async def test_all_kinds_are_exported(make: Make, gql: Gql) -> None:
    advisor = await make.advisor()
    conversation = await talk(gql, advisor, title="All")
    await stored(
        make,
        conversation,
        TABLE,
        CHART,
        ActionCardBlock(card=CardKind.ASK, label="Why\n# not?", operation="Why?"),
        PLACE,
        ErrorBlock(code="X", message="It failed.", retryable=False),
        SystemBlock(about=SystemKind.STATUS, text="So far."),
    )
    text = await markdown(gql, advisor, conversation)
    expected = [
        "**Holdings**",
        "| Share | Name | Units | Value | Part | Since |",
        "| --- | --- | --- | --- | --- | --- |",
        "| instrument_0192f00000007000800000000000000a | A \\| B | 10.5 | 1050.0000 | 0.0525 | 2026-03-31 |",
        "|  |  |  |  |  |  |",
        "**Growth**",
        "| Mine | 2026-03-31 | 1.1 |",
        "- Why # not?",
        "> Buy ten shares (pending)",
        "> It failed.",
        "> So far.",
    ]
    lines = text.splitlines()
    assert [line for line in expected if line not in lines] == []


async def test_what_an_agent_does_is_told_in_all_its_states(make: Make, gql: Gql, live: Served) -> None:
    advisor = await make.advisor()
    conversation = await talk(gql, advisor)
    cursor = await cursor_of(gql, advisor, conversation)
    sent = await say(gql, advisor, "Hello.", conversationId=conversation)
    answer, stream = decode(sent["answer"]["id"], "message", "id"), decode(conversation, "conversation", "id")
    for seq, state in enumerate(AgentState, 2):
        await make.add(run_steps, Step(stream, answer, seq, state, "tax", 0, 0, f"It is {state.value}"))
        row = (f"conversation:{stream}", seq, "AGENT_STATUS", answer, 0, make.now, None)
        await make.connection.copy_records_to_table("events", records=[row])
    await make.connection.execute("update event_streams set last = 4 where stream = $1", f"conversation:{stream}")
    async with socket_to(live, advisor.token) as socket:
        await socket.subscribe(FOLLOW, conversation=conversation, after=cursor)
        assert (await socket.next())["conversationEvents"]["__typename"] == "MessagePosted"
        told = [(await socket.next())["conversationEvents"] for _ in AgentState]
    assert [(each["state"], each["agent"], each["line"]) for each in told] == [
        (state.value, "tax", f"It is {state.value}") for state in AgentState
    ]
    # A status is nothing that was said.
    assert (await message(gql, advisor, sent["answer"]["id"]))["blocks"] == []


async def test_nobody_else_reads_stored_messages(make: Make, gql: Gql) -> None:
    advisor, admin = await make.advisor(), await make.user(Role.ADMIN)
    answer = await stored(make, await talk(gql, advisor), PLACE)
    document = "query ($id: ID!) { node(id: $id) { id } }"
    assert (await gql.as_(admin).ask(document, id=answer)).codes == ["NOT_FOUND"]
    assert (await gql.as_(advisor).run(document, id=answer))["node"] == {"id": answer}
