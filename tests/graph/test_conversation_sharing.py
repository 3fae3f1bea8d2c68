"""Conversations are shared with whoever sees their clients, and only as long as it does."""

import asyncio
from typing import Any, Final

import pytest

from domain.access import Role
from domain.books import Membership
from domain.clients import Client
from domain.identity import UserStatus
from domain.office import RUNS
from graph.context import Services
from graph.ids import id_of
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql
from tests.support.language_model import LanguageModel, Want, halting, says, wants
from tests.support.served import Served, Socket, socket_to
from tests.support.talking import (
    FOLLOW,
    Heard,
    answered_by,
    cursor_of,
    fault,
    group,
    message,
    refusals,
    say,
    share,
    talk,
    until,
    until_end,
)
from tests.support.worker import drained, working

SEEN: Final = """query ($id: ID!) { node(id: $id) { ... on Conversation {
    title viewerCanWrite participants { user { id } } markdown
    messages(first: 50) { totalCount nodes { role blocks { ... on TextBlock { text } } } }
} } }"""


class Pair:
    """An owner and a colleague of one book with a client, and a conversation that both take part in."""

    def __init__(self, owner: SignedIn, colleague: SignedIn, membership: Membership, client: Client) -> None:
        self.owner = owner
        self.colleague = colleague
        self.membership = membership
        self.client = client
        self.conversation = ""

    @property
    def about(self) -> dict[str, Any]:
        """What a message about the client is sent with."""
        return {"conversationId": self.conversation, "context": {"nodeIds": [id_of(self.client)]}}


async def pair(make: Make, gql: Gql, mode: str = "SOLO") -> Pair:
    """Them, and what was said about the client."""
    owner = await make.advisor()
    assert owner.book
    colleague = await make.user(Role.ADVISOR)
    made = Pair(owner, colleague, await make.membership(owner.book, colleague.user), await make.client(owner.book))
    made.conversation = await talk(gql, owner, mode=mode)
    await say(gql, owner, "How is she doing?", **made.about)
    await share(gql, owner, made.conversation, colleague)
    return made


async def seen(gql: Gql, who: SignedIn, conversation: str) -> Any:
    """A conversation as somebody sees it; none if it does not."""
    return (await gql.as_(who).ask(SEEN, id=conversation))["data"]["node"]


async def ended(socket: Socket) -> list[str]:
    """The codes that a subscription fails with as the next that happens."""
    told = await socket.receive(20)
    assert told["type"] == "error", told
    return [error["extensions"]["code"] for error in told["payload"]]


async def followed(socket: Socket, conversation: str, cursor: str | None = None) -> None:
    """Follow a conversation, and stand there: what happens afterwards is told."""
    await socket.subscribe(FOLLOW, conversation=conversation, after=cursor)


async def test_a_colleague_of_the_same_book_reads(make: Make, gql: Gql, services: Services) -> None:
    two = await pair(make, gql)
    await drained(services, RUNS)
    read = await seen(gql, two.colleague, two.conversation)
    own = await seen(gql, two.owner, two.conversation)
    assert read["viewerCanWrite"] is False
    assert (read["title"], read["messages"], read["markdown"]) == (own["title"], own["messages"], own["markdown"])
    assert [each["user"]["id"] for each in own["participants"]] == [two.owner.id, two.colleague.id]
    # Whoever reads a conversation of one does not write in it, or have its answers written.
    given = {"conversationId": two.conversation, "content": "And I?", "idempotencyKey": "and I"}
    declined = await gql.as_(two.colleague).change("sendMessage", "message { id }", **given)
    assert refusals(declined) == [("READ_ONLY", ["input", "conversationId"])]
    run = (await say(gql, two.owner, "And then?", conversationId=two.conversation))["run"]["id"]
    declined = await gql.as_(two.colleague).change("cancelRun", "run { id }", runId=run)
    assert refusals(declined) == [("READ_ONLY", ["input", "runId"])]


async def test_it_is_shared_with_nobody_who_does_not_see_its_clients(make: Make, gql: Gql) -> None:
    two = await pair(make, gql)
    outsider, gone = await make.advisor(), await make.user(Role.ADVISOR, status=UserStatus.DISABLED)
    assert two.owner.book
    await make.membership(two.owner.book, gone.user)
    for who in (outsider, gone):
        given = {"conversationId": two.conversation, "userId": who.id}
        payload = await gql.as_(two.owner).change("shareConversation", "conversation { id }", **given)
        assert refusals(payload) == [("NOT_SHAREABLE", ["input", "userId"])]
    assert await seen(gql, outsider, two.conversation) is None
    # Once more is once.
    await share(gql, two.owner, two.conversation, two.colleague)
    assert len((await seen(gql, two.owner, two.conversation))["participants"]) == 2


async def test_what_tools_have_found_decides_with_whom_it_is_shared(make: Make, gql: Gql, services: Services) -> None:
    owner, outsider = await make.advisor(), await make.advisor()
    assert owner.book
    await make.client(owner.book, name="Meera Krishnamurthy")
    conversation = (await say(gql, owner, "Find client Meera"))["conversation"]["id"]
    given = {"conversationId": conversation, "userId": outsider.id}
    await drained(services, RUNS)
    payload = await gql.as_(owner).change("shareConversation", "conversation { id }", **given)
    assert refusals(payload) == [("NOT_SHAREABLE", ["input", "userId"])]


async def test_in_a_group_all_write_and_each_sees_what_it_may(make: Make, gql: Gql, services: Services) -> None:
    owner, colleague, client, conversation = await group(make, gql)
    given = {"conversationId": conversation}
    hidden = await say(gql, owner, "And Meera?", **given, context={"nodeIds": [id_of(client)]})
    plain = await say(gql, colleague, "What can you do?", **given)
    await drained(services, RUNS)
    own, other = await seen(gql, owner, conversation), await seen(gql, colleague, conversation)
    assert (own["messages"]["totalCount"], other["messages"]["totalCount"]) == (4, 2)
    # Of a message that is hidden nothing shows: not itself, its answer, its run, or the title that it gave.
    assert (own["title"], other["title"]) == ("And Meera?", None)
    assert "Meera" not in str(other)
    for node in (hidden["message"], hidden["answer"], hidden["run"]):
        document = "query ($id: ID!) { node(id: $id) { id } }"
        assert (await gql.as_(colleague).ask(document, id=node["id"]))["data"]["node"] is None
        assert (await gql.as_(owner).run(document, id=node["id"]))["node"] == {"id": node["id"]}
    assert await message(gql, owner, plain["answer"]["id"]) == await message(gql, colleague, plain["answer"]["id"])
    assert (await fault(gql, colleague, "cancelRun", runId=hidden["run"]["id"]))["code"] == "NOT_FOUND"


async def test_the_model_is_told_only_what_whoever_asks_sees(make: Make, gql: Gql, services: Services) -> None:
    team = await make.team()
    owner, colleague = await make.advisor(team=team), await make.advisor(team=team)
    assert owner.book
    client = await make.client(owner.book)
    conversation = await talk(gql, owner, mode="GROUP")
    await share(gql, owner, conversation, colleague)
    server = LanguageModel(says("A secret."), says("Well."))
    async with answered_by(services, server) as answering:
        given = {"conversationId": conversation}
        await say(gql, owner, "About her", **given, context={"nodeIds": [id_of(client)]})
        await drained(answering, RUNS)
        await say(gql, colleague, "What was said?", **given)
        await drained(answering, RUNS)
    assert [line["content"] for line in server.asked[1].messages if line["role"] != "system"] == ["What was said?"]
    assert "secret" not in str(server.asked[1].messages)


async def test_participants_of_equal_rights_hear_the_same(
    make: Make, gql: Gql, live: Served, services: Services
) -> None:
    two = await pair(make, gql)
    cursor = await cursor_of(gql, two.owner, two.conversation)
    async with (
        working(services, RUNS),
        socket_to(live, two.owner.token) as first,
        socket_to(live, two.colleague.token) as second,
    ):
        await followed(first, two.conversation, cursor)
        await followed(second, two.conversation, cursor)
        one, other = await until_end(first), await until_end(second)
    (answer,) = one.whole
    assert (one.whole, one.text_of(answer)) == (other.whole, other.text_of(answer))


async def test_a_new_participant_is_announced(make: Make, gql: Gql, live: Served) -> None:
    owner, colleague = await make.advisor(), await make.advisor()
    conversation = await talk(gql, owner)
    cursor = await cursor_of(gql, owner, conversation)
    async with socket_to(live, owner.token) as socket:
        await followed(socket, conversation, cursor)
        await share(gql, owner, conversation, colleague)
        told = (await socket.next())["conversationEvents"]
    assert told["__typename"] == "ParticipantJoined"
    # Who it is says the user itself, to whoever sees it.
    assert told["participant"]["user"] in (None, {"id": colleague.id})


async def moved(make: Make, gql: Gql, two: Pair) -> None:
    """The client goes to a book that both are no members of."""
    admin, book = await make.user(Role.ADMIN), await make.book()
    given = {"clientId": id_of(two.client), "bookId": id_of(book), "version": two.client.version}
    assert (await gql.as_(admin).change("moveClient", "client { id }", **given))["userErrors"] == []


async def expelled(make: Make, gql: Gql, two: Pair) -> None:
    """The colleague is a member of the book no longer."""
    admin = await make.user(Role.ADMIN)
    given = {"membershipId": id_of(two.membership)}
    payload = await gql.as_(admin).change("endMembership", "membership { id }", **given)
    assert payload["userErrors"] == []


async def left(_: Make, gql: Gql, two: Pair) -> None:
    """The owner has the colleague leave."""
    given = {"conversationId": two.conversation, "userId": two.colleague.id}
    payload = await gql.as_(two.owner).change("leaveConversation", "conversation { id }", **given)
    assert payload["userErrors"] == []


@pytest.mark.parametrize("lose", [moved, expelled, left])
async def test_whoever_loses_its_right_in_mid_stream_hears_nothing_more(
    make: Make, gql: Gql, live: Served, services: Services, lose: Any
) -> None:
    two = await pair(make, gql)
    await drained(services, RUNS)
    held = asyncio.Event()

    async def nothing_runs() -> bool:
        return not await make.connection.fetchval("select count(*) from runs where ended_at is null")

    server = LanguageModel(halting(held, ["She ", "is "], "secretly ", "rich."))
    cursor = await cursor_of(gql, two.owner, two.conversation)
    async with answered_by(services, server) as answering, socket_to(live, two.colleague.token) as socket:
        await followed(socket, two.conversation, cursor)
        sent = await say(gql, two.owner, "And now?", **two.about)
        async with working(answering, RUNS):
            heard = Heard()
            while "is" not in heard.text_of(sent["answer"]["id"]):
                heard.hear((await socket.next(20))["conversationEvents"])
            await lose(make, gql, two)
            held.set()
            assert await ended(socket) == ["NOT_FOUND"]
            # The answer is the server's, and goes on; of it nothing comes here any more, from any place.
            await until(nothing_runs)
        await socket.send(type="ping")
        assert (await socket.receive())["type"] == "pong"
        if lose is left:
            await followed(socket, two.conversation, heard.cursor)
            assert await ended(socket) == ["NOT_FOUND"]
        else:
            await followed(socket, two.conversation, heard.cursor)
            await socket.send(type="ping")
            assert (await socket.receive())["type"] == "pong"
    assert await message(gql, two.colleague, sent["answer"]["id"]) is None


async def test_one_who_leaves_takes_nobody_along(make: Make, gql: Gql, live: Served) -> None:
    team = await make.team()
    owner = await make.advisor(team=team)
    # Of equal rights, so that both are told from one reading.
    first, second = [await make.user(Role.SUPERVISOR, team) for _ in range(2)]
    conversation = await talk(gql, owner, mode="GROUP")
    for who in (first, second):
        await share(gql, owner, conversation, who)
    document = """subscription ($conversation: ID!, $after: String) {
        conversationEvents(conversationId: $conversation, after: $after) { __typename }
    }"""
    cursor = await cursor_of(gql, owner, conversation)
    async with socket_to(live, first.token) as one, socket_to(live, second.token) as other:
        for socket in (one, other):
            await socket.subscribe(document, conversation=conversation, after=cursor)
        await say(gql, owner, "Hello.", conversationId=conversation)
        for socket in (one, other):
            assert (await socket.next())["conversationEvents"]["__typename"] == "MessagePosted"
        given = {"conversationId": conversation, "userId": first.id}
        assert (await gql.as_(first).change("leaveConversation", "conversation { id }", **given)) == {
            "conversation": None,
            "userErrors": [],
        }
        await say(gql, owner, "Hello again.", conversationId=conversation)
        assert await ended(one) == ["NOT_FOUND"]
        assert (await other.next())["conversationEvents"]["__typename"] == "MessagePosted"


async def test_leaving_is_ones_own_or_the_owners(make: Make, gql: Gql) -> None:
    owner, first, second = [await make.advisor() for _ in range(3)]
    conversation = await talk(gql, owner, mode="GROUP")
    for who in (first, second):
        await share(gql, owner, conversation, who)

    async def leave(who: SignedIn, whom: SignedIn) -> Any:
        given = {"conversationId": conversation, "userId": whom.id}
        return await gql.as_(who).change("leaveConversation", "conversation { id }", **given)

    assert refusals(await leave(first, second)) == [("READ_ONLY", ["input", "userId"])]
    assert refusals(await leave(owner, owner)) == [("INVALID_VALUE", ["input", "userId"])]
    assert refusals(await leave(first, owner)) == [("READ_ONLY", ["input", "userId"])]
    assert (await leave(owner, second))["conversation"] == {"id": conversation}
    given = {"conversationId": conversation, "userId": second.id}
    assert (await fault(gql, owner, "leaveConversation", **given))["code"] == "NOT_FOUND"
    assert await seen(gql, second, conversation) is None
    assert len((await seen(gql, first, conversation))["participants"]) == 2


async def test_no_admin_and_no_auditor_reads_along(make: Make, gql: Gql, live: Served) -> None:
    owner = await make.advisor()
    sent = await say(gql, owner, "Between us")
    conversation = sent["conversation"]["id"]
    for role in (Role.ADMIN, Role.AUDITOR, Role.BU_MANAGER):
        who = await make.user(role, None if role is not Role.BU_MANAGER else await make.team())
        assert await seen(gql, who, conversation) is None
        assert await message(gql, who, sent["message"]["id"]) is None
        for name in ("conversations", "messages"):
            assert (await gql.as_(who).run(f"{{ {name} {{ totalCount }} }}"))[name]["totalCount"] == 0
        async with socket_to(live, who.token) as socket:
            await followed(socket, conversation)
            assert await ended(socket) == ["NOT_FOUND"]


async def test_an_end_client_talks_of_its_own_and_finds_nobody_elses(make: Make, gql: Gql, services: Services) -> None:
    advisor = await make.advisor()
    assert advisor.book
    own = await make.client(advisor.book, name="Meera Krishnamurthy")
    await make.client(advisor.book, name="Arjun Krishnamurthy")
    client = await make.user(Role.CLIENT, client_id=own.id)
    script = [wants(Want("find_client", {"text": "Krishnamurthy"})), says("Only you.")]
    async with answered_by(services, LanguageModel(*script)) as answering:
        sent = await say(gql, client, "Who is called Krishnamurthy?")
        await drained(answering, RUNS)
    answer = await message(gql, client, sent["answer"]["id"])
    assert [block["__typename"] for block in answer["blocks"]] == ["TableBlock", "TextBlock"]
    assert [row[1] for row in answer["blocks"][0]["rows"]] == ["Meera Krishnamurthy"]
    assert await seen(gql, advisor, sent["conversation"]["id"]) is None


async def test_in_a_group_each_hears_what_it_may(make: Make, gql: Gql, live: Served, services: Services) -> None:
    owner, colleague, client, conversation = await group(make, gql)
    cursor = await cursor_of(gql, owner, conversation)
    server = LanguageModel(says("She is rich."), says("As I said, ", "Meera is rich."), says("Nothing."))
    async with answered_by(services, server) as answering, socket_to(live, colleague.token) as socket:
        await followed(socket, conversation, cursor)
        given = {"conversationId": conversation}
        await say(gql, owner, "About her", **given, context={"nodeIds": [id_of(client)]})
        await drained(answering, RUNS)
        repeated = await say(gql, owner, "Say that again", **given)
        await drained(answering, RUNS)
        plain = await say(gql, colleague, "And what else?", **given)
        await drained(answering, RUNS)
        heard = Heard()
        while plain["answer"]["id"] not in heard.whole:
            heard.hear((await socket.next(20))["conversationEvents"])
    async with socket_to(live, colleague.token) as socket:
        # The same when it comes back, from the beginning.
        await followed(socket, conversation, cursor)
        again = await until_end(socket)
    for each in (heard, again):
        assert list(each.whole) == [plain["answer"]["id"]]
        told = str(each.events)
        assert not any(word in told for word in ("Meera", "rich", "About her", id_of(client)))
    # Nor what the model was shown of it, and has repeated; the question is nobody's secret.
    assert "rich" in str(await message(gql, owner, repeated["answer"]["id"]))
    assert await message(gql, colleague, repeated["answer"]["id"]) is None
    assert await message(gql, colleague, repeated["message"]["id"]) is not None
    assert server.asked[-1].messages[-1]["content"] == "And what else?"
    assert "rich" not in str(server.asked[-1].messages)
