"""Conversations are started, written in, renamed, archived, listed and exported; each by who may."""

import asyncio
from typing import Any, Final

import pytest

from domain.access import Role
from domain.office import RUNS
from graph.context import Services
from graph.ids import id_of
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql
from tests.support.talking import MESSAGE, SENT, fault, refusals, say, share, talk
from tests.support.worker import drained

CHANGED: Final = "conversation { id title version archivedAt }"
LISTED: Final = """query ($filter: ConversationFilter, $orderBy: ConversationOrder) {
    conversations(filter: $filter, orderBy: $orderBy) { totalCount nodes {
        id title module mode archivedAt viewerCanWrite owner { id } participants { user { id } }
        messages(first: 50) { nodes { role blocks { ... on TextBlock { text } } } }
    } }
}"""


async def listed(gql: Gql, who: SignedIn, **given: Any) -> list[Any]:
    """The conversations that somebody sees."""
    found = (await gql.as_(who).run(LISTED, **given))["conversations"]
    assert found["totalCount"] == len(found["nodes"])
    return list(found["nodes"])


async def only(gql: Gql, who: SignedIn) -> Any:
    """The one conversation that somebody sees."""
    (found,) = await listed(gql, who)
    return found


async def sent(gql: Gql, who: SignedIn, **given: Any) -> Any:
    """The payload of sending something, declined perhaps."""
    return await gql.as_(who).change("sendMessage", SENT, **{"content": "Hello.", "idempotencyKey": "once", **given})


async def test_what_is_sent_starts_a_conversation_and_is_its_title(make: Make, gql: Gql) -> None:
    advisor = await make.advisor(clients=1)
    question = "How much cash does the family of Mrs Subramaniam have in all of its portfolios together?"
    payload = await say(gql, advisor, question)
    assert payload["conversation"]["title"] == "How much cash does the family of Mrs Subramaniam have in…"
    assert (payload["run"]["status"], payload["run"]["position"]) == ("RUNNING", None)
    found = await only(gql, advisor)
    assert (found["module"], found["mode"], found["owner"]["id"]) == ("ADVISORY", "SOLO", advisor.id)
    assert [each["user"]["id"] for each in found["participants"]] == [advisor.id]
    # Both are there at once: the question, and the answer with nothing in it yet.
    assert [(each["role"], each["blocks"]) for each in found["messages"]["nodes"]] == [
        ("USER", [{"text": question}]),
        ("ASSISTANT", []),
    ]
    again = await say(gql, advisor, "And in bonds?", conversationId=payload["conversation"]["id"])
    assert again["conversation"] == payload["conversation"]
    assert len((await only(gql, advisor))["messages"]["nodes"]) == 4


async def test_a_message_knows_what_was_looked_at(make: Make, gql: Gql) -> None:
    advisor = await make.advisor(clients=1, portfolios=1)
    document = "{ clients { nodes { id portfolios { id } } } }"
    (client,) = (await gql.as_(advisor).run(document))["clients"]["nodes"]
    looked = [client["id"], client["portfolios"][0]["id"]]
    payload = await say(gql, advisor, "And his cash?", context={"nodeIds": looked, "page": "client/overview"})
    question = f"query ($id: ID!) {{ node(id: $id) {{ ... on Message {{ {MESSAGE} }} }} }}"
    found = (await gql.as_(advisor).run(question, id=payload["message"]["id"]))["node"]
    assert found["context"] == {"page": "client/overview", "nodeIds": looked}
    assert (found["author"], found["replyToId"]) == ({"id": advisor.id}, None)
    answer = (await gql.as_(advisor).run(question, id=payload["answer"]["id"]))["node"]
    assert (answer["author"], answer["replyToId"], answer["agent"]) == (None, payload["message"]["id"], "general")
    assert answer["run"]["id"] == payload["run"]["id"]
    rows = await make.connection.fetch("select message_id, count(*) from message_clients group by message_id")
    assert [row["count"] for row in rows] == [1, 1]


async def test_nobody_looks_at_what_it_does_not_see(make: Make, gql: Gql) -> None:
    advisor, other = await make.advisor(), await make.advisor()
    assert other.book
    hidden = id_of(await make.client(other.book))

    async def code(node_ids: list[str]) -> tuple[str, list[Any]]:
        given = {"content": "Hello.", "idempotencyKey": "x", "context": {"nodeIds": node_ids}}
        error = await fault(gql, advisor, "sendMessage", **given)
        return error["code"], error["details"]

    assert (await code([hidden]))[0] == "NOT_FOUND"
    assert (await code([id_of(advisor.user)]))[1][0]["field"] == "input.context.nodeIds.0"
    assert (await code(["x"]))[1][0]["field"] == "input.context.nodeIds.0"
    book = id_of(advisor.book) if advisor.book else ""
    assert (await code([book] * 21))[1][0]["field"] == "input.context.nodeIds"
    assert await listed(gql, advisor) == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"content": "x" * 20_001}, "content"),
        ({"content": " \n\t"}, "content"),
        ({"content": ""}, "content"),
        ({"idempotencyKey": ""}, "idempotencyKey"),
        ({"idempotencyKey": "k" * 101}, "idempotencyKey"),
        ({"context": {"page": "p" * 201}}, "context.page"),
    ],
    ids=str,
)
async def test_what_is_too_long_or_says_nothing_is_declined(
    make: Make, gql: Gql, given: dict[str, Any], field: str
) -> None:
    advisor = await make.advisor()
    assert refusals(await sent(gql, advisor, **given)) == [("INVALID_VALUE", ["input", *field.split(".")])]
    assert await listed(gql, advisor) == []


async def test_twenty_thousand_characters_are_a_message(make: Make, gql: Gql) -> None:
    advisor = await make.advisor()
    # Characters are counted, whatever room they take.
    content = "\U0001f4b0" * 20_000
    payload = await sent(gql, advisor, content=content)
    assert payload["userErrors"] == []
    assert (await only(gql, advisor))["messages"]["nodes"][0]["blocks"] == [{"text": content}]


async def test_what_is_sent_again_is_said_once(make: Make, gql: Gql, services: Services) -> None:
    advisor, other = await make.advisor(), await make.advisor()
    first, *others = await asyncio.gather(*(sent(gql, advisor) for _ in range(12)))
    assert all(payload == first for payload in others)
    assert await make.connection.fetchval("select count(*) from messages") == 2
    await drained(services, RUNS)
    # The same afterwards, when it is answered: it gives the answer as it is by then.
    late = await sent(gql, advisor)
    assert (late["message"], late["run"]["status"]) == (first["message"], "COMPLETED")
    assert late["answer"]["blocks"] == [{"__typename": "TextBlock"}]
    conflict = [("IDEMPOTENCY_CONFLICT", ["input", "idempotencyKey"])]
    assert refusals(await sent(gql, advisor, content="Something else.")) == conflict
    assert refusals(await sent(gql, advisor, conversationId=first["conversation"]["id"])) == conflict
    assert refusals(await sent(gql, advisor, context={"page": "elsewhere"})) == conflict
    # A key is one user's own.
    assert (await sent(gql, other, content="Something else."))["userErrors"] == []


async def test_what_was_declined_may_be_sent_under_its_key(make: Make, gql: Gql) -> None:
    advisor = await make.advisor()
    conversation = await talk(gql, advisor)
    archive = {"conversationId": conversation, "archived": True}
    await gql.as_(advisor).change("archiveConversation", CHANGED, **archive)
    assert refusals(await sent(gql, advisor, conversationId=conversation)) == [
        ("ARCHIVED", ["input", "conversationId"])
    ]
    await gql.as_(advisor).change("archiveConversation", CHANGED, **{**archive, "archived": False})
    assert (await sent(gql, advisor, conversationId=conversation))["userErrors"] == []


async def test_a_conversation_is_renamed_by_its_owner(make: Make, gql: Gql) -> None:
    advisor = await make.advisor()
    conversation = await talk(gql, advisor, module="PLANNING", mode="GROUP", title="  The   plan ")
    await say(gql, advisor, "What can you do?", conversationId=conversation)
    found = await only(gql, advisor)
    # A title that was given is not made anew from what is asked.
    assert (found["title"], found["module"], found["mode"]) == ("The plan", "PLANNING", "GROUP")
    renamed = await gql.as_(advisor).change("renameConversation", CHANGED, conversationId=conversation, title="B")
    assert (renamed["conversation"]["title"], renamed["conversation"]["version"]) == ("B", 2)
    for title in ("", "  ", "t" * 201):
        payload = await gql.as_(advisor).change("renameConversation", CHANGED, conversationId=conversation, title=title)
        assert refusals(payload) == [("INVALID_VALUE", ["input", "title"])]
        started = await gql.as_(advisor).change("startConversation", "conversation { id }", title=title)
        assert refusals(started) == [("INVALID_VALUE", ["input", "title"])]
    assert (await only(gql, advisor))["title"] == "B"


async def test_only_its_owner_changes_a_conversation_and_strangers_do_not_find_it(make: Make, gql: Gql) -> None:
    owner, colleague, stranger = await make.advisor(), await make.advisor(), await make.user(Role.ADMIN)
    conversation = await talk(gql, owner, mode="GROUP", title="Ours")
    await share(gql, owner, conversation, colleague)
    asked: dict[str, dict[str, Any]] = {
        "renameConversation": {"title": "Mine"},
        "archiveConversation": {"archived": True},
        "deleteConversation": {},
        "shareConversation": {"userId": stranger.id},
    }
    for mutation, given in asked.items():
        fields = "deletedId" if mutation == "deleteConversation" else "conversation { id }"
        payload = await gql.as_(colleague).change(mutation, fields, conversationId=conversation, **given)
        assert [code for code, _ in refusals(payload)] == ["READ_ONLY"], mutation
        error = await fault(gql, stranger, mutation, conversationId=conversation, **given)
        assert error["code"] == "NOT_FOUND", mutation
    assert (await only(gql, owner))["title"] == "Ours"


async def test_what_is_archived_takes_no_messages_until_it_is_taken_out(make: Make, gql: Gql) -> None:
    advisor = await make.advisor()
    conversation = await talk(gql, advisor)
    archive = {"conversationId": conversation}
    archived = (await gql.as_(advisor).change("archiveConversation", CHANGED, **archive))["conversation"]
    assert archived["archivedAt"]
    # Once more changes nothing.
    again = await gql.as_(advisor).change("archiveConversation", CHANGED, **archive)
    assert again["conversation"] == archived
    assert refusals(await sent(gql, advisor, conversationId=conversation)) == [
        ("ARCHIVED", ["input", "conversationId"])
    ]
    assert (await only(gql, advisor))["viewerCanWrite"] is False
    out = await gql.as_(advisor).change("archiveConversation", CHANGED, **archive, archived=False)
    assert out["conversation"]["archivedAt"] is None
    assert (await only(gql, advisor))["viewerCanWrite"] is True
    assert (await sent(gql, advisor, conversationId=conversation))["userErrors"] == []


async def test_conversations_are_listed_by_what_they_are(make: Make, gql: Gql) -> None:
    advisor, other = await make.advisor(), await make.advisor()
    ids = {
        "planning": await talk(gql, advisor, module="PLANNING"),
        "group": await talk(gql, advisor, module="SUPPORT", mode="GROUP"),
        "archived": await talk(gql, advisor),
    }
    await talk(gql, other)
    await gql.as_(advisor).change("archiveConversation", CHANGED, conversationId=ids["archived"])

    async def found(who: SignedIn = advisor, **given: Any) -> list[str]:
        names = {each: name for name, each in ids.items()}
        return [names.get(each["id"], "?") for each in await listed(gql, who, **given)]

    assert await found(filter={"module": "PLANNING"}) == ["planning"]
    assert await found(filter={"mode": "GROUP"}) == ["group"]
    assert await found(filter={"archived": True}) == ["archived"]
    assert await found(filter={"archived": False}) == ["group", "planning"]
    assert await found(filter={"archived": False, "mode": "SOLO"}) == ["planning"]
    assert await found(other) == ["?"]
    # The one in which was written last comes first; the one that was started last does not change its place.
    await say(gql, advisor, "Hello.", conversationId=ids["planning"])
    assert await found() == ["planning", "archived", "group"]
    assert await found(orderBy={"field": "CREATED_AT", "direction": "ASC"}) == ["planning", "group", "archived"]


async def test_everybody_who_signs_in_converses(make: Make, gql: Gql) -> None:
    team = await make.team()
    for role in (each for each in Role if each is not Role.SERVICE):
        who = await make.user(role, team)
        await say(gql, who, "Hello.")
        # Its own, and of the others' none, whoever it is.
        assert [each["owner"]["id"] for each in await listed(gql, who)] == [who.id]
    anonymous = await gql.ask("mutation { startConversation(input: {}) { conversation { id } } }")
    assert anonymous.codes == ["UNAUTHENTICATED"]


async def test_a_conversation_is_exported_as_a_document(make: Make, gql: Gql, services: Services) -> None:
    advisor = await make.advisor()
    conversation = await talk(gql, advisor, title="# A | title")
    await say(gql, advisor, "What can\n\nyou do?", conversationId=conversation)
    await drained(services, RUNS)
    document = "query ($id: ID!) { node(id: $id) { ... on Conversation { markdown } } }"
    text = (await gql.as_(advisor).run(document, id=conversation))["node"]["markdown"]
    lines = text.splitlines()
    assert lines[0] == "# # A | title"
    assert [line.split(",")[0] for line in lines if line.startswith("## ")] == [
        f"## {advisor.user.name}",
        "## Assistant",
    ], text
    assert "What can\n\nyou do?" in text
    (_, answer) = (await only(gql, advisor))["messages"]["nodes"]
    assert answer["blocks"][0]["text"] in text
