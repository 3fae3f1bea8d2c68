"""What becomes of a conversation when whoever asked loses the sight of a client, and what it is about at all."""

import asyncio

from domain.access import Role
from domain.office import RUNS
from graph.context import Services
from graph.ids import decode, id_of
from tests.factories import people
from tests.factories.firm import Make
from tests.support.gql import Gql
from tests.support.language_model import LanguageModel, Want, says, wants
from tests.support.served import Served, socket_to
from tests.support.talking import FOLLOW, answered_by, cursor_of, message, refusals, run_of, say, share, talk, until_end
from tests.support.worker import drained

MOST_ROUNDS = 8


async def test_a_run_whose_asker_sees_its_client_no_longer_ends_at_once(
    make: Make, gql: Gql, services: Services
) -> None:
    advisor, admin = await make.advisor(), await make.user(Role.ADMIN)
    assert advisor.book
    client = await make.client(advisor.book)
    sent = await say(gql, advisor, "How much cash?", context={"nodeIds": [id_of(client)]})
    moved = {"clientId": id_of(client), "bookId": id_of(await make.book()), "version": client.version}
    assert (await gql.as_(admin).change("moveClient", "client { id }", **moved))["userErrors"] == []
    await drained(services, RUNS)
    row = await make.connection.fetchrow("select status, error, attempt from runs")
    assert tuple(row or ()) == ("FAILED", "OUT_OF_SIGHT", 1)
    assert await message(gql, advisor, sent["answer"]["id"]) is None


async def test_who_deletes_what_was_about_a_client_tells_so(
    make: Make, gql: Gql, live: Served, services: Services
) -> None:
    advisor = await make.advisor()
    assert advisor.book
    client = await make.client(advisor.book)
    sent = await say(gql, advisor, "How much cash?", context={"nodeIds": [id_of(client)]})
    await drained(services, RUNS)
    conversation = sent["conversation"]["id"]
    async with socket_to(live, advisor.token) as socket:
        await socket.subscribe(FOLLOW, conversation=conversation, after=await cursor_of(gql, advisor, conversation))
        payload = await gql.as_(advisor).change("deleteConversation", "deletedId", conversationId=conversation)
        assert payload == {"deletedId": conversation, "userErrors": []}
        told = (await socket.next())["conversationEvents"]
        assert (told["__typename"], told["conversationId"]) == ("ConversationDeleted", conversation)


async def test_a_model_that_calls_what_nobody_offers_is_not_heeded_for_ever(
    make: Make, gql: Gql, services: Services
) -> None:
    advisor = await make.advisor()
    server = LanguageModel(*[wants(Want("find_client", {"text": "Meera"}))] * (MOST_ROUNDS + 3), says("So."))
    sent = await say(gql, advisor, "Who is Meera?")
    async with answered_by(services, server) as answering:
        await drained(answering, RUNS)
    answer = await message(gql, advisor, sent["answer"]["id"])
    assert answer["run"]["status"] == "COMPLETED"
    assert len(answer["toolsUsed"]) == MOST_ROUNDS
    assert len(server.asked) == MOST_ROUNDS + 1


async def test_what_is_said_of_a_household_is_about_its_members(
    make: Make, gql: Gql, live: Served, services: Services
) -> None:
    owner, colleague = await make.advisor(), await make.advisor()
    assert owner.book
    home = await people.household(make, owner.book, name="Rao family")
    await make.client(owner.book, household_id=home.id)
    conversation = await talk(gql, owner, mode="GROUP")
    await share(gql, owner, conversation, colleague)
    cursor = await cursor_of(gql, owner, conversation)
    given = {"conversationId": conversation, "context": {"nodeIds": [id_of(home)]}}
    sent = await say(gql, owner, "Hello, who are they?", **given)
    await drained(services, RUNS)
    async with socket_to(live, owner.token) as socket:
        await socket.subscribe(FOLLOW, conversation=conversation, after=cursor)
        assert sent["answer"]["id"] in (await until_end(socket)).whole
    for each in (sent["message"]["id"], sent["answer"]["id"]):
        assert await message(gql, owner, each)
        assert await message(gql, colleague, each) is None


async def test_who_does_not_see_a_book_is_not_told_of_it(make: Make, gql: Gql, services: Services) -> None:
    owner, colleague = await make.advisor(), await make.advisor()
    assert owner.book
    instrument = await make.instrument("TCS")
    empty = await people.household(make, owner.book, name="Quiet house")
    conversation = await talk(gql, owner, mode="GROUP")
    await share(gql, owner, conversation, colleague)
    looked = [id_of(owner.book), id_of(instrument), id_of(empty)]
    server = LanguageModel(says("This is it."))
    async with answered_by(services, server) as answering:
        given = {"conversationId": conversation, "context": {"nodeIds": looked}}
        sent = await say(gql, owner, "What is this?", **given)
        await drained(answering, RUNS)
    for who, seen in ((owner, looked), (colleague, looked[1:2])):
        question = await message(gql, who, sent["message"]["id"])
        assert question["context"]["nodeIds"] == seen
        # What it says is for both: so the model cannot name what only one of them sees.
        assert (await message(gql, who, sent["answer"]["id"]))["run"]["status"] == "COMPLETED"
    told = str(server.asked[0].messages)
    assert instrument.name in told
    assert not any(word in told for word in (owner.book.name, empty.name, looked[0], looked[2]))


async def test_a_household_is_named_to_who_sees_it_by_its_book(make: Make, gql: Gql, services: Services) -> None:
    team = await make.team()
    owner = await make.user(Role.SUPERVISOR, team)
    ours, theirs = await make.advisor(team=team), await make.advisor(team=team)
    assert ours.book
    assert theirs.book
    home = await people.household(make, ours.book, name="Rao family")
    # All of its members are in the other book by now.
    member = await make.client(theirs.book, household_id=home.id)
    for moved in (False, True):
        conversation = await talk(gql, owner, mode="GROUP")
        if moved:
            await make.client(ours.book, household_id=home.id)
        await share(gql, owner, conversation, theirs)
        server = LanguageModel(says("They are well."))
        async with answered_by(services, server) as answering:
            given = {"conversationId": conversation, "context": {"nodeIds": [id_of(home), id_of(member)]}}
            sent = await say(gql, owner, "How are they?", **given)
            await drained(answering, RUNS)
        # Whoever sees its name sees a member in its book.
        assert (home.name in str(server.asked[0].messages)) is moved
        seen = await message(gql, theirs, sent["message"]["id"])
        assert (seen and seen["context"]["nodeIds"]) == (None if moved else [id_of(member)])


async def test_what_the_model_is_told_of_by_then_decides_who_reads_the_answer(
    make: Make, gql: Gql, services: Services
) -> None:
    owner, colleague = await make.advisor(), await make.advisor()
    assert owner.book
    home = await people.household(make, owner.book, name="Rao family")
    conversation = await talk(gql, owner, mode="GROUP")
    await share(gql, owner, conversation, colleague)
    given = {"conversationId": conversation, "context": {"nodeIds": [id_of(home)]}}
    sent = await say(gql, owner, "How are they?", **given)
    # Only now it has a member, by whom it may be named.
    await make.client(owner.book, household_id=home.id)
    await drained(services, RUNS)
    assert await message(gql, owner, sent["answer"]["id"])
    assert await message(gql, colleague, sent["answer"]["id"]) is None


async def test_what_was_looked_up_is_known_of_a_cancelled_answer_too(make: Make, gql: Gql) -> None:
    advisor = await make.advisor()
    sent = await say(gql, advisor, "Who is Meera?")
    await make.connection.execute(
        """
        insert into tool_uses (
            id, run_id, message_id, round, position, block, said, call_id, name, arguments, line, facts, failed, used_at
        )
        select gen_random_uuid(), id, message_id, 0, 0, 0, '', 'a', 'cash', '{}', 'Looking', '{}', false, now()
        from runs
        """
    )
    cancelled = await gql.as_(advisor).change("cancelRun", "run { status }", runId=sent["run"]["id"])
    assert cancelled == {"run": {"status": "CANCELLED"}, "userErrors": []}
    answer = await message(gql, advisor, sent["answer"]["id"])
    assert answer["toolsUsed"] == [{"name": "cash", "line": "Looking", "failed": False}]
    assert (await run_of(gql, advisor, sent["run"]["id"]))["status"] == "CANCELLED"


async def test_who_does_not_see_that_a_run_was_tried_again_is_told_so(make: Make, gql: Gql) -> None:
    owner, colleague = await make.advisor(), await make.advisor()
    assert owner.book
    client = await make.client(owner.book)
    conversation = await talk(gql, owner, mode="GROUP")
    await share(gql, owner, conversation, colleague)
    failed = (await say(gql, owner, "Hello?", conversationId=conversation))["run"]["id"]
    await gql.as_(owner).change("cancelRun", "run { id }", runId=failed)
    again = await gql.as_(owner).change("retryRun", "answer { id }", runId=failed)
    hidden = again["answer"]["id"]
    note = "insert into message_clients (conversation_id, message_id, client_id) values ($1, $2, $3)"
    ids = decode(conversation, "conversation", "id"), decode(hidden, "message", "id")
    await make.connection.execute(note, *ids, client.id)
    assert await message(gql, colleague, hidden) is None
    refused = await gql.as_(colleague).change("retryRun", "answer { id }", runId=failed)
    assert refusals(refused) == [("RUN_NOT_FAILED", ["input", "runId"])]


async def test_of_two_tabs_only_the_one_that_was_told_of_a_client_ends_when_it_goes_out_of_sight(
    make: Make, gql: Gql, live: Served, services: Services
) -> None:
    advisor, admin = await make.advisor(), await make.user(Role.ADMIN)
    assert advisor.book
    client = await make.client(advisor.book)
    conversation = await talk(gql, advisor)
    await say(gql, advisor, "How much cash?", conversationId=conversation, context={"nodeIds": [id_of(client)]})
    await drained(services, RUNS)
    cursor = await cursor_of(gql, advisor, conversation)
    async with socket_to(live, advisor.token) as first, socket_to(live, advisor.token) as second:
        await first.subscribe(FOLLOW, conversation=conversation, after=cursor)
        await joined(services, 1)
        moved = {"clientId": id_of(client), "bookId": id_of(await make.book()), "version": client.version}
        assert (await gql.as_(admin).change("moveClient", "client { id }", **moved))["userErrors"] == []
        await second.subscribe(FOLLOW, conversation=conversation, after=cursor)
        await joined(services, 2)
        sent = await say(gql, advisor, "Hello?", conversationId=conversation)
        told = (await second.next())["conversationEvents"]
        assert told["message"]["id"] == sent["message"]["id"]
        ended = await first.receive()
    assert (ended["type"], ended["payload"][0]["extensions"]["code"]) == ("error", "NOT_FOUND")


async def joined(services: Services, members: int) -> None:
    """Wait until so many follow in one group."""
    async with asyncio.timeout(10):
        while [len(group.members) for group in services.fanout.groups.values()] != [members]:  # noqa: ASYNC110 - groups set no event
            await asyncio.sleep(0.01)
