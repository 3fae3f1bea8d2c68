"""What a run's trace keeps: what models were shown, word for word."""

from typing import Any

import msgspec

from domain.assistant.lines import Shown
from domain.assistant.models import wire
from domain.office import RUNS
from graph.context import Services
from tests.factories.firm import Make
from tests.support.gql import Gql
from tests.support.language_model import TITLE, LanguageModel, Want, breaks_off, says, wants, words
from tests.support.talking import answered_by, say
from tests.support.worker import drained

PROMPTS = "select prompt from model_calls where purpose = $1 order by ended_at, id"


async def traced(make: Make, purpose: str) -> list[Shown]:
    """What models were shown for a purpose, in order."""
    return [msgspec.json.decode(row["prompt"], type=Shown) for row in await make.connection.fetch(PROMPTS, purpose)]


def sent(server: LanguageModel) -> list[list[dict[str, Any]]]:
    """The lines of each request, as they came."""
    return [asked.messages for asked in server.asked]


async def test_the_lines_of_each_call_are_kept(make: Make, gql: Gql, services: Services) -> None:
    advisor = await make.advisor()
    assert advisor.book
    await make.client(advisor.book, name="Meera Krishnamurthy")
    server = LanguageModel(wants(Want("find_client", {"text": "Meera"}), text="Let me see."), says("Well."))
    async with answered_by(services, server) as answering:
        await say(gql, advisor, "How is Meera?")
        await drained(answering, RUNS)
    first, second = await traced(make, "ANSWER")
    assert [wire.messages(shown.lines) for shown in (first, second)] == sent(server)
    assert (first.prompt, first.said) == ("general/1", "")
    assert [line.speaker.value for line in second.lines] == ["system", "user", "assistant", "tool"]


async def test_where_an_answer_went_on_is_kept(make: Make, gql: Gql, services: Services) -> None:
    advisor = await make.advisor()
    server = LanguageModel(breaks_off(*words("She is ")), says("well."))
    async with answered_by(services, server) as answering:
        await say(gql, advisor, "How is she?")
        await drained(answering, RUNS)
    (shown,) = await traced(make, "ANSWER")
    # The same request was sent once more, with what the reader had seen.
    assert len(server.asked) == 2
    assert wire.messages(shown.lines) == sent(server)[0]


async def test_the_lines_that_a_title_was_made_of_are_kept(make: Make, gql: Gql, services: Services) -> None:
    advisor = await make.advisor()
    server = LanguageModel(says("All well."))
    server.shapes[TITLE] = {"title": "How she is"}
    async with answered_by(services, server) as answering:
        await say(gql, advisor, "How is she?")
        await drained(answering, RUNS)
    (shown,) = await traced(make, "TITLE")
    (asked,) = server.titled
    assert shown.prompt == "title/1"
    # What asks for the shape is added by whoever speaks the protocol.
    assert asked.messages[: len(shown.lines)] == wire.messages(shown.lines)
