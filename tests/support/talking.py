"""Talking with the assistant in tests: sockets that follow conversations, and what they have made of the events."""

from itertools import count
from typing import Any, Final

from tests.factories.firm import SignedIn
from tests.support.gql import Gql
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
... on MessagePosted {{ message {{ id blocks {{ ... on TextBlock {{ text }} }} }} }}
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
