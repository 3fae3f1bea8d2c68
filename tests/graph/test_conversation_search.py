"""Messages are found by their words, by whoever sees them."""

from typing import Any, Final

import pytest

from domain.office import RUNS
from graph.context import Services
from graph.ids import id_of
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql
from tests.support.language_model import LanguageModel, says
from tests.support.talking import answered_by, say, share, talk
from tests.support.worker import drained

FOUND: Final = """query ($filter: MessageFilter) {
    messages(filter: $filter) { totalCount nodes { role blocks { ... on TextBlock { text } } } }
}"""


async def found(gql: Gql, who: SignedIn, search: str, **given: Any) -> list[str]:
    """The texts that somebody finds, the latest first."""
    page = (await gql.as_(who).run(FOUND, filter={"search": search, **given}))["messages"]
    assert page["totalCount"] == len(page["nodes"])
    return [block["text"] for node in page["nodes"] for block in node["blocks"]]


async def test_messages_are_found_by_the_beginnings_of_all_words(make: Make, gql: Gql) -> None:
    advisor = await make.advisor()
    crepe, bonds = "Où est la crêperie de José?", "Government bonds for JOSÉ's daughter"
    await say(gql, advisor, crepe)
    await say(gql, advisor, bonds)
    assert await found(gql, advisor, "jose") == [bonds, crepe]
    assert await found(gql, advisor, "JOS gov") == [bonds]
    assert await found(gql, advisor, "creperie") == [crepe]
    # The middle of a word is not its beginning, and all words are wanted.
    assert await found(gql, advisor, "onds") == []
    assert await found(gql, advisor, "government creperie") == []


@pytest.mark.parametrize(
    "search", ["'", "\\", "bonds'", "!bonds", "bonds & ! x", "bonds:*", "<->", "(bonds", "%", "_", "\x00", "b" * 3000]
)
async def test_what_is_searched_for_is_words_and_no_language(make: Make, gql: Gql, search: str) -> None:
    advisor = await make.advisor()
    await say(gql, advisor, "All of the bonds")
    # It never fails; an operator is no operator.
    answer = await gql.as_(advisor).ask(FOUND, filter={"search": search})
    assert set(answer.codes) <= {"VALIDATION_ERROR"}


async def test_a_word_of_whatever_length_is_stored(make: Make, gql: Gql) -> None:
    advisor = await make.advisor()
    await say(gql, advisor, "w" * 19_990 + " bonds")
    assert len(await found(gql, advisor, "bonds")) == 1
    assert len(await found(gql, advisor, "w" * 200)) == 1


async def test_answers_are_found_by_what_was_said_and_by_their_tables(make: Make, gql: Gql, services: Services) -> None:
    advisor = await make.advisor()
    assert advisor.book
    await make.client(advisor.book, name="Meera Krishnamurthy")
    server = LanguageModel(says("Diversify ", "broadly."))
    async with answered_by(services, server) as answering:
        await say(gql, advisor, "What now?")
        await drained(answering, RUNS)
    assert await found(gql, advisor, "diversify") == ["Diversify broadly."]
    assert await found(gql, advisor, "diversify", roles=["USER"]) == []
    assert await found(gql, advisor, "diversify", roles=["ASSISTANT", "USER"]) == ["Diversify broadly."]
    await say(gql, advisor, "Find client Meera")
    await drained(services, RUNS)
    tables = "query ($filter: MessageFilter) { messages(filter: $filter) { nodes { role } } }"
    # The name's second word stands in the answer's table, and nowhere in the question.
    page = await gql.as_(advisor).run(tables, filter={"search": "krishnamurthy"})
    assert page["messages"]["nodes"] == [{"role": "ASSISTANT"}]


async def test_a_conversation_is_searched_by_itself(make: Make, gql: Gql) -> None:
    advisor = await make.advisor()
    first, second = await talk(gql, advisor), await talk(gql, advisor)
    for conversation in (first, second):
        await say(gql, advisor, "Bonds", conversationId=conversation)
    document = """query ($id: ID!) { node(id: $id) { ... on Conversation {
        messages(filter: {search: "bonds"}) { totalCount }
    } } }"""
    assert (await gql.as_(advisor).run(document, id=first))["node"]["messages"]["totalCount"] == 1
    assert len(await found(gql, advisor, "bonds")) == 2


async def test_nobody_finds_what_it_does_not_see(make: Make, gql: Gql) -> None:
    team = await make.team()
    owner, colleague, stranger = [await make.advisor(team=team) for _ in range(3)]
    assert owner.book
    client = await make.client(owner.book)
    conversation = await talk(gql, owner, mode="GROUP")
    await share(gql, owner, conversation, colleague)
    await say(gql, owner, "Bonds in general", conversationId=conversation)
    await say(gql, owner, "Bonds of hers", conversationId=conversation, context={"nodeIds": [id_of(client)]})
    assert await found(gql, owner, "bonds") == ["Bonds of hers", "Bonds in general"]
    assert await found(gql, colleague, "bonds") == ["Bonds in general"]
    assert await found(gql, stranger, "bonds") == []
