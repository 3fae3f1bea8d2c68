"""Talking with the assistant in tests: sockets that follow conversations, and what they have made of the events."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import Any, Final, cast

import msgspec
from asyncpg import Connection, Record

from domain.assistant.answering import ModelAssistant
from domain.assistant.models import Model
from domain.assistant.models.chain import Chain
from domain.assistant.models.compatible import Compatible
from domain.assistant.models.embedded import EmbeddedModel
from domain.clients import Client
from graph.context import Services
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql
from tests.support.language_model import LanguageModel, Waits, speaking
from tests.support.served import Socket

BLOCKS: Final = """
... on TextBlock { text }
... on TableBlock { title columns { name cells currency } rows }
... on ChartBlock {
    title chart x { label values currency } y { label values currency } series { name points { x y } }
}
... on ActionCardBlock { card label operation variables targetId target { id } }
... on ConfirmationBlock { id summary mutation input state expiresAt }
... on ErrorBlock { code message retryable suggestion }
... on SystemBlock { about text agent }
"""
MESSAGE: Final = f"""
id role agent replyToId createdAt version author {{ id }} run {{ id status error retryable position }}
blocks {{ __typename {BLOCKS} }}
context {{ page nodeIds }} toolsUsed {{ name line failed }} usage {{ inputTokens outputTokens models cost }}
intent sentiment entities {{ kind text value }} citations {{ label nodeId }}
"""
EVENT: Final = f"""
__typename
... on ConversationUpdate {{ cursor occurredAt }}
... on RunStarted {{ agent message {{ id }} }}
... on AgentStatus {{ messageId state agent line }}
... on TextDelta {{ messageId position start text }}
... on BlockAdded {{ messageId position block {{ __typename {BLOCKS} }} }}
... on RunCompleted {{ since message {{ {MESSAGE} }} toolsUsed {{ name }} usage {{ outputTokens }} intent }}
... on RunFailed {{ since code retryable reason message {{ {MESSAGE} }} }}
... on MessagePosted {{ message {{ id conversation {{ id }} blocks {{ ... on TextBlock {{ text }} }} }} }}
... on ParticipantJoined {{ participant {{ user {{ id }} }} }}
... on ConversationDeleted {{ conversationId }}
"""
FOLLOW: Final = f"""
subscription ($conversation: ID!, $after: String) {{
    conversationEvents(conversationId: $conversation, after: $after) {{ {EVENT} }}
}}
"""
ASK: Final = f"""
subscription ($input: SendMessageInput!, $after: String) {{ ask(input: $input, after: $after) {{ {EVENT} }} }}
"""
SENT: Final = "conversation { id title } message { id } answer { id blocks { __typename } } run { id status position }"
KEYS: Final = count()
ENDS: Final = frozenset({"RunCompleted", "RunFailed"})


class Heard:
    """What a client has made of the events that it was told: the texts of each answer's blocks, as they have grown.

    A delta that does not follow the last one fails the test, unless it was told before.
    """

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.texts: dict[tuple[str, int], str] = {}
        self.whole: dict[str, Any] = {}

    @property
    def kinds(self) -> list[str]:
        """The events' types, in order."""
        return [event["__typename"] for event in self.events]

    @property
    def cursor(self) -> str | None:
        """Where to go on from."""
        return self.events[-1]["cursor"] if self.events else None

    def hear(self, event: Any) -> None:
        """Take an event in."""
        self.events.append(event)
        if event["__typename"] == "TextDelta":
            self._grow(event)
        if event["__typename"] in ENDS:
            self.whole[event["message"]["id"]] = event["message"]

    def _grow(self, event: Any) -> None:
        place = event["messageId"], event["position"]
        known = self.texts.get(place, "")
        assert event["start"] == len(known.encode("utf-16-le")) // 2, (event, known)
        self.texts[place] = known + event["text"]

    def text_of(self, message_id: str) -> str:
        """All that was told of an answer's texts."""
        return "".join(text for (each, _), text in sorted(self.texts.items()) if each == message_id)

    def agrees(self, message_id: str) -> bool:
        """Whether the deltas are the beginning of what the whole answer says."""
        blocks = self.whole[message_id]["blocks"]
        return all(
            blocks[place]["text"].startswith(text) for (each, place), text in self.texts.items() if each == message_id
        )


async def until_end(socket: Socket, field: str = "conversationEvents", heard: Heard | None = None) -> Heard:
    """What is heard until an answer has ended."""
    heard = heard or Heard()
    while not heard.events or heard.events[-1]["__typename"] not in ENDS:
        heard.hear((await socket.next(20))[field])
    return heard


async def say(gql: Gql, who: SignedIn, content: str, **given: Any) -> Any:
    """The payload of sending a message; fails the test where it was declined."""
    given.setdefault("idempotencyKey", f"key {next(KEYS)}")
    payload = await gql.as_(who).change("sendMessage", SENT, content=content, **given)
    assert payload["userErrors"] == [], payload
    return payload


async def message(gql: Gql, who: SignedIn, message_id: str) -> Any:
    """A message as somebody sees it; none where it is not seen."""
    document = f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on Message {{ {MESSAGE} }} }} }}"
    return (await gql.as_(who).run(document, ids=[message_id]))["nodes"][0]


def by(services: Services, model: Model) -> Services:
    """The services, with another model to answer."""
    former = cast("ModelAssistant", services.gateways.assistant)
    assistant = ModelAssistant(model, former.pen, former.prompting, former.new_id)
    gateways = msgspec.structs.replace(services.gateways, assistant=assistant)
    return msgspec.structs.replace(services, gateways=gateways)


@asynccontextmanager
async def answered_by(
    services: Services, *servers: LanguageModel, fallback: bool = False, **endpoint: Any
) -> AsyncIterator[Services]:
    """The services, answered by models on sockets until the end of the block; they wait for no second attempt."""
    models: list[Model] = []
    async with AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(speaking(server))
            model = Compatible(server.endpoint(**endpoint), sleep=Waits())
            stack.push_async_callback(model.close)
            models.append(model)
        yield by(services, Chain([*models, EmbeddedModel()] if fallback else models))


async def talk(gql: Gql, who: SignedIn, **given: Any) -> str:
    """A new conversation."""
    payload = await gql.as_(who).change("startConversation", "conversation { id }", **given)
    return str(payload["conversation"]["id"])


async def cursor_of(gql: Gql, who: SignedIn, conversation: str) -> str:
    """The place that a conversation's stream has come to."""
    document = "query ($id: ID!) { node(id: $id) { ... on Conversation { eventsCursor } } }"
    return str((await gql.as_(who).run(document, id=conversation))["node"]["eventsCursor"])


async def share(gql: Gql, who: SignedIn, conversation: str, colleague: SignedIn) -> None:
    """Have a colleague take part."""
    given = {"conversationId": conversation, "userId": colleague.id}
    assert (await gql.as_(who).change("shareConversation", "conversation { id }", **given))["userErrors"] == []


async def group(make: Make, gql: Gql) -> tuple[SignedIn, SignedIn, Client, str]:
    """A conversation of two colleagues in which both write, of whom one alone sees a client: both, it, and the id."""
    team = await make.team()
    owner, colleague = await make.advisor(team=team), await make.advisor(team=team)
    assert owner.book
    client = await make.client(owner.book, name="Meera Krishnamurthy")
    conversation = await talk(gql, owner, mode="GROUP")
    await share(gql, owner, conversation, colleague)
    return owner, colleague, client, conversation


async def run_of(gql: Gql, who: SignedIn, run: str) -> Any:
    """A run as it stands."""
    document = "query ($id: ID!) { node(id: $id) { ... on Run { status error retryable position } } }"
    return (await gql.as_(who).run(document, id=run))["node"]


async def fault(gql: Gql, who: SignedIn, mutation: str, **given: Any) -> Any:
    """How a mutation fails; fails the test where it does not."""
    name = mutation[0].upper() + mutation[1:]
    document = f"mutation ($input: {name}Input!) {{ {mutation}(input: $input) {{ __typename }} }}"
    (error,) = (await gql.as_(who).ask(document, input=given))["errors"]
    return error["extensions"]


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what another task brings about."""
    async with asyncio.timeout(20):
        while not await holds():  # noqa: ASYNC110 - the database sets no event
            await asyncio.sleep(0.01)


async def has_ended(gql: Gql, who: SignedIn, run: str) -> bool:
    """Whether a run has ended."""
    return (await run_of(gql, who, run))["status"] not in {"QUEUED", "RUNNING"}


def refusals(payload: Any) -> list[tuple[str, list[str]]]:
    """What was declined, and which field it is about."""
    return [(each["code"], each["field"]) for each in payload["userErrors"]]


async def nothing_of(owner: "Connection[Record]", words: Sequence[str]) -> None:
    """No table of the database holds any of these words any more; the search of all of it is literal."""
    tables = await owner.fetch(
        "select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname in ('public', 'queue')"
    )
    for name in (table["name"] for table in tables):
        for word in words:
            query = f"select count(*) from {name} as found where found::text like '%' || $1 || '%'"  # noqa: S608
            assert await owner.fetchval(query, word) == 0, (name, word)
