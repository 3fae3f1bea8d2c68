"""A conversation that is deleted is gone, and all who follow it are told."""

import asyncio
from datetime import timedelta
from typing import Any

from domain.access import Role
from domain.clients import ClientStatus
from domain.conversations.entities import Mode
from domain.office import RUNS
from graph.context import Services
from graph.ids import decode, id_of
from persistence.housekeeping import forget
from tests.factories import talks
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql
from tests.support.language_model import LanguageModel, Want, halting, says, wants
from tests.support.served import Served, Socket, socket_to
from tests.support.talking import (
    FOLLOW,
    SENT,
    Heard,
    answered_by,
    cursor_of,
    fault,
    nothing_of,
    run_of,
    say,
    share,
    talk,
)
from tests.support.worker import drained, working


async def delete(gql: Gql, who: SignedIn, conversation: str) -> None:
    """Delete a conversation."""
    payload = await gql.as_(who).change("deleteConversation", "deletedId", conversationId=conversation)
    assert payload == {"deletedId": conversation, "userErrors": []}


async def last_told(socket: Socket, conversation: str) -> list[str]:
    """What is told until the end, which is that the conversation is gone; gives the events' types before that."""
    kinds = []
    while (event := (await socket.next(20))["conversationEvents"])["__typename"] != "ConversationDeleted":
        kinds.append(event["__typename"])
    assert event["conversationId"] == conversation
    told = await socket.receive()
    assert [error["extensions"]["code"] for error in told["payload"]] == ["NOT_FOUND"]
    return kinds


async def test_all_that_was_said_is_gone(make: Make, gql: Gql, services: Services) -> None:
    advisor = await make.advisor()
    assert advisor.book
    client = await make.client(advisor.book)
    server = LanguageModel(wants(Want("find_client", {"text": "Zanzibar"}), text="Zebra"), says("Zinnia"))
    async with answered_by(services, server) as answering:
        sent = await say(
            gql,
            advisor,
            "Zucchini?",
            context={"nodeIds": [id_of(client)], "page": "Zeppelin"},
            idempotencyKey="of the client's own making",
        )
        await drained(answering, RUNS)
    conversation = sent["conversation"]["id"]
    words = ["Zucchini", "Zeppelin", "Zanzibar", "Zebra", "Zinnia", "zucchini", "zinnia"]
    await delete(gql, advisor, conversation)
    await nothing_of(make.connection, words)
    for table in ("conversations", "messages", "conversation_titles", "message_clients", "runs", "tool_uses"):
        assert await make.connection.fetchval(f"select count(*) from {table}") == 0, table  # noqa: S608
    kinds = "select array_agg(kind) from events where stream = 'conversation:' || $1::text"
    stream = str(decode(conversation, "conversation", "id"))
    assert await make.connection.fetchval(kinds, stream) == ["CONVERSATION_DELETED"]


async def test_nothing_finds_it_afterwards(make: Make, gql: Gql, live: Served, services: Services) -> None:
    advisor = await make.advisor()
    sent = await say(gql, advisor, "Bonds", idempotencyKey="bonds")
    await drained(services, RUNS)
    conversation, key = sent["conversation"]["id"], sent["conversation"]["id"]
    await delete(gql, advisor, conversation)
    asked: list[tuple[str, dict[str, Any]]] = [
        ("deleteConversation", {"conversationId": conversation}),
        ("renameConversation", {"conversationId": conversation, "title": "B"}),
        ("archiveConversation", {"conversationId": conversation}),
        ("sendMessage", {"conversationId": conversation, "content": "More", "idempotencyKey": key}),
        ("sendMessage", {"content": "Bonds", "idempotencyKey": "bonds"}),
        ("cancelRun", {"runId": sent["run"]["id"]}),
        ("retryRun", {"runId": sent["run"]["id"]}),
    ]
    for mutation, given in asked:
        assert (await fault(gql, advisor, mutation, **given))["code"] == "NOT_FOUND", mutation
    for node in (conversation, sent["message"]["id"], sent["answer"]["id"], sent["run"]["id"]):
        answer = await gql.as_(advisor).ask("query ($id: ID!) { node(id: $id) { id } }", id=node)
        assert answer.codes == ["NOT_FOUND"]
    assert (await gql.as_(advisor).run("{ conversations { totalCount } }"))["conversations"]["totalCount"] == 0
    search = '{ messages(filter: {search: "bonds"}) { totalCount } }'
    assert (await gql.as_(advisor).run(search))["messages"]["totalCount"] == 0
    async with socket_to(live, advisor.token) as socket:
        await socket.subscribe(FOLLOW, conversation=conversation)
        assert (await socket.receive())["payload"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_all_who_follow_are_told_and_whoever_comes_back(
    make: Make, gql: Gql, live: Served, services: Services
) -> None:
    owner, colleague, stranger = [await make.advisor() for _ in range(3)]
    conversation = await talk(gql, owner, mode="GROUP")
    await share(gql, owner, conversation, colleague)
    first = await cursor_of(gql, owner, conversation)
    await say(gql, owner, "Hello.", conversationId=conversation)
    await drained(services, RUNS)
    later = await cursor_of(gql, owner, conversation)
    async with socket_to(live, owner.token) as one, socket_to(live, colleague.token) as other:
        for socket in (one, other):
            await socket.subscribe(FOLLOW, conversation=conversation, after=later)
        await delete(gql, owner, conversation)
        for socket in (one, other):
            assert await last_told(socket, conversation) == []
        # From whatever place: what was deleted since then is not told of.
        for cursor in (first, later):
            for socket in (one, other):
                await socket.subscribe(FOLLOW, conversation=conversation, after=cursor)
                assert await last_told(socket, conversation) == []
    async with socket_to(live, stranger.token) as socket:
        await socket.subscribe(FOLLOW, conversation=conversation, after=first)
        assert (await socket.receive())["payload"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_whoever_was_sent_away_is_not_told(make: Make, gql: Gql, live: Served) -> None:
    owner, colleague = await make.advisor(), await make.advisor()
    conversation = await talk(gql, owner)
    await share(gql, owner, conversation, colleague)
    cursor = await cursor_of(gql, owner, conversation)
    given = {"conversationId": conversation, "userId": colleague.id}
    await gql.as_(owner).change("leaveConversation", "conversation { id }", **given)
    await delete(gql, owner, conversation)
    async with socket_to(live, colleague.token) as socket:
        await socket.subscribe(FOLLOW, conversation=conversation, after=cursor)
        assert (await socket.receive())["payload"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_the_log_forgets_that_it_was_there(make: Make, gql: Gql, live: Served, services: Services) -> None:
    owner = await make.advisor()
    kept, gone = await talk(gql, owner, title="Kept"), await talk(gql, owner)
    cursor = await cursor_of(gql, owner, gone)
    await delete(gql, owner, gone)
    older = "update events set occurred_at = occurred_at - $1::interval"
    for days, codes in ((29, []), (2, ["NOT_FOUND"])):
        await make.connection.execute(older, timedelta(days=days))
        await forget(services.doors.database, make.now)
        async with socket_to(live, owner.token) as socket:
            await socket.subscribe(FOLLOW, conversation=gone, after=cursor)
            if codes:
                told = await socket.receive()
                assert [error["extensions"]["code"] for error in told["payload"]] == codes
            else:
                assert await last_told(socket, gone) == []
    rows = await make.connection.fetch("select conversation_id from conversation_participants")
    assert [row[0] for row in rows] == [decode(kept, "conversation", "id")]


async def test_whoever_answers_lets_go(make: Make, gql: Gql, live: Served, services: Services) -> None:
    advisor = await make.advisor()
    conversation = await talk(gql, advisor)
    cursor = await cursor_of(gql, advisor, conversation)
    server = LanguageModel(halting(asyncio.Event(), ["So "], "much."))
    async with answered_by(services, server) as answering, socket_to(live, advisor.token) as socket:
        await socket.subscribe(FOLLOW, conversation=conversation, after=cursor)
        sent = await say(gql, advisor, "Hello.", conversationId=conversation)
        async with working(answering, RUNS):
            heard = Heard()
            while not heard.text_of(sent["answer"]["id"]):
                heard.hear((await socket.next(20))["conversationEvents"])
            await delete(gql, advisor, conversation)
            assert await last_told(socket, conversation) == []
            # The model's connection is given back, though it would have gone on.
            await server.idle()
    assert await make.connection.fetchval("select count(*) from run_steps") == 0


async def test_what_an_erased_client_talked_of_is_gone_before_everybodys_eyes(
    make: Make, gql: Gql, live: Served, services: Services
) -> None:
    advisor, admin = await make.advisor(), await make.user(Role.ADMIN)
    assert advisor.book
    person = await make.client(advisor.book, status=ClientStatus.ARCHIVED)
    client = await make.user(Role.CLIENT, client_id=person.id)
    # End clients find none of the staff to share with: here somebody has let the advisor in.
    made = await talks.conversation(make, client.user, advisor.user, mode=Mode.GROUP)
    conversation, own = id_of(made), await talk(gql, advisor)
    first = await cursor_of(gql, advisor, conversation)
    await say(gql, client, "What do I hold?", conversationId=conversation)
    await drained(services, RUNS)
    # All seats of the advisor are taken by what goes with it.
    for number in range(5):
        await say(gql, advisor, f"Hello {number}?", conversationId=conversation)
    waiting = await say(gql, advisor, "Mine", conversationId=own)
    assert waiting["run"]["status"] == "QUEUED"
    async with socket_to(live, advisor.token) as socket:
        await socket.subscribe(FOLLOW, conversation=conversation, after=await cursor_of(gql, advisor, conversation))
        given = {"clientId": id_of(person), "version": 1, "reason": "Its time is over by law."}
        assert (await gql.as_(admin).change("eraseClient", "client { id }", **given))["userErrors"] == []
        assert await last_told(socket, conversation) == []
        # Whoever comes back hears that alone, from whatever place.
        await socket.subscribe(FOLLOW, conversation=conversation, after=first)
        assert await last_told(socket, conversation) == []
    listed = await gql.as_(advisor).run("{ conversations { nodes { id } } }")
    assert listed["conversations"]["nodes"] == [{"id": own}]
    await drained(services, RUNS)
    assert (await run_of(gql, advisor, waiting["run"]["id"]))["status"] == "COMPLETED"


async def test_whoever_waits_behind_its_runs_goes_on(make: Make, gql: Gql, services: Services) -> None:
    team = await make.team()
    owner, colleague = await make.advisor(team=team), await make.advisor(team=team)
    assert colleague.book
    client = await make.client(colleague.book)
    conversation, own = await talk(gql, owner, mode="GROUP"), await talk(gql, colleague)
    await share(gql, owner, conversation, colleague)
    # The owner does not even see these, which keep all seats of the colleague.
    for number in range(5):
        given = {"conversationId": conversation, "context": {"nodeIds": [id_of(client)]}}
        await say(gql, colleague, f"Of her {number}", **given)
    waiting = await gql.as_(colleague).change(
        "sendMessage", SENT, content="Mine", idempotencyKey="mine", conversationId=own
    )
    assert waiting["run"]["status"] == "QUEUED"
    await delete(gql, owner, conversation)
    await drained(services, RUNS)
    assert (await run_of(gql, colleague, waiting["run"]["id"]))["status"] == "COMPLETED"
