"""What conversations are called: by their first question, soon by their first exchange, or as somebody renames them."""

from typing import Any, Final

import pytest

from domain.assistant import titling
from domain.conversations import titles
from domain.office import RUNS
from graph.context import Services
from graph.ids import decode, id_of
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql
from tests.support.halting import Thinking, office_of
from tests.support.language_model import TITLE, LanguageModel, Want, fails, says, wants
from tests.support.talking import answered_by, by, has_ended, message, run_of, say, share, talk, until
from tests.support.worker import drained, working

NAME: Final = "Meera Krishnamurthy"
ASKED: Final = "What does Meera hold?"
TITLED: Final = f"Holdings of {NAME}"
CALLS: Final = "select purpose, model, input_tokens from model_calls order by purpose"
ABOUT: Final = "select client_id from message_clients where message_id = $1"


@pytest.fixture
async def advisor(make: Make) -> SignedIn:
    made = await make.advisor()
    assert made.book
    await make.client(made.book, name=NAME)
    return made


async def title(gql: Gql, who: SignedIn, conversation: str) -> str | None:
    """What somebody sees a conversation called, in its list as by its id."""
    document = (
        "query ($id: ID!) { node(id: $id) { ... on Conversation { title } } conversations { nodes { id title } } }"
    )
    found = await gql.as_(who).run(document, id=conversation)
    (listed,) = [each["title"] for each in found["conversations"]["nodes"] if each["id"] == conversation]
    assert listed == found["node"]["title"]
    return listed and str(listed)


async def rename(gql: Gql, who: SignedIn, conversation: str, text: str) -> Any:
    return await gql.as_(who).change(
        "renameConversation", "conversation { title }", conversationId=conversation, title=text
    )


async def test_the_embedded_model_names_what_was_wanted_and_whose(
    gql: Gql, services: Services, advisor: SignedIn
) -> None:
    conversation = (await say(gql, advisor, ASKED))["conversation"]["id"]
    assert await title(gql, advisor, conversation) == ASKED
    await drained(services, RUNS)
    assert await title(gql, advisor, conversation) == TITLED
    # Of the first exchange alone.
    await say(gql, advisor, "How much cash does Meera have?", conversationId=conversation)
    await drained(services, RUNS)
    assert await title(gql, advisor, conversation) == TITLED


async def test_where_no_rule_has_an_idea_the_question_stays(gql: Gql, services: Services, advisor: SignedIn) -> None:
    conversation = (await say(gql, advisor, "Hello there"))["conversation"]["id"]
    await drained(services, RUNS)
    await say(gql, advisor, ASKED, conversationId=conversation)
    await drained(services, RUNS)
    assert await title(gql, advisor, conversation) == "Hello there"


async def test_a_model_is_told_the_exchange_and_what_it_costs_is_noted(
    make: Make, gql: Gql, services: Services, advisor: SignedIn
) -> None:
    server = LanguageModel(wants(Want("find_client", {"text": "Meera"})), says("She is well."))
    server.shapes[TITLE] = {"title": f"  How {NAME}\n is doing, {'at length ' * 9}"}
    async with answered_by(services, server) as answering:
        sent = await say(gql, advisor, "How is Meera?")
        await drained(answering, RUNS)
    assert await title(gql, advisor, sent["conversation"]["id"]) == f"How {NAME} is doing, at length at length at…"
    (asked,) = server.titled
    system, question, answer, _ = asked.messages
    assert NAME in system["content"]
    assert question == {"role": "user", "content": "How is Meera?"}
    assert (answer["role"], "She is well." in answer["content"]) == ("assistant", True)
    rows = [tuple(row) for row in await make.connection.fetch(CALLS)]
    assert rows == [("ANSWER", "tests", 11), ("ANSWER", "tests", 11), ("TITLE", "tests", 11)]
    # The answer's own cost is what it was when it was told.
    assert (await message(gql, advisor, sent["answer"]["id"]))["usage"]["inputTokens"] == 22


@pytest.mark.parametrize("told", [None, {"title": ""}, {"name": "Meera"}, {"title": "so " * 80}])
async def test_a_model_that_fails_harms_nothing(gql: Gql, services: Services, advisor: SignedIn, told: Any) -> None:
    server = LanguageModel(says("She is well."))
    if told is not None:
        server.shapes[TITLE] = told
    async with answered_by(services, server) as answering:
        sent = await say(gql, advisor, "How is Meera?")
        await drained(answering, RUNS)
    assert server.titled
    assert await title(gql, advisor, sent["conversation"]["id"]) == "How is Meera?"
    assert (await run_of(gql, advisor, sent["run"]["id"]))["status"] == "COMPLETED"


async def test_a_model_that_takes_too_long_is_not_waited_for(
    make: Make, gql: Gql, services: Services, advisor: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(titling, "PATIENCE", 0.05)
    conversation = (await say(gql, advisor, ASKED))["conversation"]["id"]
    await drained(by(services, Thinking()), RUNS)
    assert await title(gql, advisor, conversation) == ASKED
    assert await make.connection.fetchval("select count(*) from queue.pgqueuer") == 0


async def test_a_title_holds_up_nothing_and_whoever_renames_meanwhile_wins(
    gql: Gql, services: Services, advisor: SignedIn
) -> None:
    model = Thinking()
    async with working(by(services, model), RUNS):
        sent = await say(gql, advisor, ASKED)
        conversation = sent["conversation"]["id"]
        await model.gate.reached()
        assert (await run_of(gql, advisor, sent["run"]["id"]))["status"] == "COMPLETED"
        # As many as have seats are answered meanwhile.
        further = [await say(gql, advisor, "Hello?", conversationId=conversation) for _ in range(5)]
        assert {each["run"]["status"] for each in further} == {"RUNNING"}

        async def all_ended() -> bool:
            return all([await has_ended(gql, advisor, each["run"]["id"]) for each in further])

        await until(all_ended)
        assert (await rename(gql, advisor, conversation, "My own"))["userErrors"] == []
        model.gate.open()
    assert await title(gql, advisor, conversation) == "My own"


async def test_it_is_made_of_the_first_question_that_is_answered(
    gql: Gql, services: Services, advisor: SignedIn
) -> None:
    server = LanguageModel(fails(401), says("She is well."))
    server.shapes[TITLE] = {"title": "Meera"}
    async with answered_by(services, server) as answering:
        conversation = (await say(gql, advisor, "Is anybody there?"))["conversation"]["id"]
        await drained(answering, RUNS)
        assert (await title(gql, advisor, conversation), server.titled) == ("Is anybody there?", [])
        await say(gql, advisor, "How is Meera?", conversationId=conversation)
        await drained(answering, RUNS)
    assert await title(gql, advisor, conversation) == "Meera"
    assert server.titled[0].messages[1]["content"] == "How is Meera?"


async def test_what_was_named_by_somebody_is_never_named_anew(gql: Gql, services: Services, advisor: SignedIn) -> None:
    conversation = await talk(gql, advisor, title="Ours")
    await say(gql, advisor, ASKED, conversationId=conversation)
    await drained(services, RUNS)
    assert await title(gql, advisor, conversation) == "Ours"


async def test_a_job_that_runs_twice_asks_once(make: Make, gql: Gql, services: Services, advisor: SignedIn) -> None:
    server = LanguageModel(says("She is well."))
    server.shapes[TITLE] = {"title": "Meera"}
    async with answered_by(services, server) as answering:
        sent = await say(gql, advisor, ASKED)
        await drained(answering, RUNS)
        await titles.improve(office_of(answering), decode(sent["run"]["id"], "run", "id"))
    assert len(server.titled) == 1
    assert await make.connection.fetchval("select count(*) from model_calls where purpose = 'TITLE'") == 1


async def test_one_whose_conversation_is_gone_meanwhile_names_nothing(
    make: Make, gql: Gql, services: Services, advisor: SignedIn
) -> None:
    model = Thinking()
    async with working(by(services, model), RUNS):
        conversation = (await say(gql, advisor, ASKED))["conversation"]["id"]
        await model.gate.reached()
        await gql.as_(advisor).change("deleteConversation", "deletedId", conversationId=conversation)
        model.gate.open()

        async def done() -> bool:
            return not await make.connection.fetchval("select count(*) from queue.pgqueuer")

        await until(done)
    assert await make.connection.fetchval("select count(*) from conversation_titles") == 0


async def test_it_is_seen_by_who_sees_question_and_answer(
    make: Make, gql: Gql, services: Services, advisor: SignedIn
) -> None:
    colleague = await make.advisor()
    assert advisor.book
    conversation = await talk(gql, advisor, mode="GROUP")
    await share(gql, advisor, conversation, colleague)
    looked = {"nodeIds": [id_of(await make.client(advisor.book, name="Vikram Rao"))]}
    sent = await say(gql, advisor, "Hello, find client Meera", conversationId=conversation, context=looked)
    await drained(services, RUNS)
    question, answer = [
        {row[0] for row in await make.connection.fetch(ABOUT, decode(sent[name]["id"], "message", "id"))}
        for name in ("message", "answer")
    ]
    assert len(question) == 2
    assert question <= answer
    assert await title(gql, advisor, conversation) == f"{NAME} and Vikram Rao"
    assert await title(gql, colleague, conversation) is None


async def test_who_sees_the_question_alone_does_not_see_what_the_answer_gave(
    make: Make, gql: Gql, services: Services, advisor: SignedIn
) -> None:
    colleague = await make.advisor()
    conversation = await talk(gql, advisor, mode="GROUP")
    await share(gql, advisor, conversation, colleague)
    # Several fit: that names clients in the answer, and none whom the question is about.
    assert advisor.book
    await make.client(advisor.book, name="Meera Rao")
    server = LanguageModel(wants(Want("find_client", {"text": "Meera"})), says("There are two."))
    server.shapes[TITLE] = {"title": "The two Meeras"}
    async with answered_by(services, server) as answering:
        sent = await say(gql, advisor, "Who is Meera?", conversationId=conversation)
        await drained(answering, RUNS)
    assert await message(gql, colleague, sent["message"]["id"])
    assert await message(gql, colleague, sent["answer"]["id"]) is None
    assert await title(gql, advisor, conversation) == "The two Meeras"
    assert await title(gql, colleague, conversation) is None


async def test_an_owner_renames_what_it_sees_no_longer(
    make: Make, gql: Gql, services: Services, advisor: SignedIn
) -> None:
    conversation = (await say(gql, advisor, ASKED))["conversation"]["id"]
    await drained(services, RUNS)
    await make.connection.execute("update clients set book_id = $1", (await make.book()).id)
    assert await title(gql, advisor, conversation) is None
    assert await rename(gql, advisor, conversation, "Mine") == {"conversation": {"title": "Mine"}, "userErrors": []}
