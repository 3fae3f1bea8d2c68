"""What the people of the house talk of with the office: each has a conversation, and most share it with two colleagues.

What is said is about nobody, about a client whom its owner sees, and about one whom perhaps it does not, as after a
client has moved; so that of those who take part each sees another part.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from domain.access import Role
from domain.conversations.blocks import ActionCardBlock, CardKind
from domain.conversations.entities import (
    Citation,
    Context,
    Conversation,
    EventKind,
    Insight,
    Mention,
    Message,
    Mode,
    ToolNote,
    stored,
    stream_of,
)
from domain.refs import Ref
from graph.ids import encode, id_of
from tests.factories import talks

if TYPE_CHECKING:
    from tests.factories.house import House, Person

# With whom nothing is shared.
ALONE: Final = {Role.CLIENT, Role.SERVICE}
KINDS: Final = frozenset({"conversation", "message", "run"})


class Talks:
    """Who takes part in each conversation, and the clients whose data each row of it holds."""

    def __init__(self) -> None:
        self.taking_part: dict[UUID, frozenset[UUID]] = {}
        self.about: dict[UUID, frozenset[UUID]] = {}
        self.conversation_of: dict[UUID, UUID] = {}
        self.owned: dict[UUID, str] = {}

    def sees(self, person: "Person", row_id: UUID, *, changing: frozenset[UUID] = frozenset()) -> bool:
        """Whether a person may read a row; `changing` are clients whom it may read of, and change nothing of."""
        about = self.about[row_id]
        known = person.everything or about <= (person.clients or frozenset())
        return self.takes_part(person, self.conversation_of[row_id]) and known and not about & changing

    def takes_part(self, person: "Person", conversation_id: UUID) -> bool:
        """Whether a person takes part in a conversation, if it is one of the house's."""
        return person.user.user.id in self.taking_part.get(conversation_id, ())

    def note(self, of: Conversation, row_id: UUID, about: Collection[UUID] = ()) -> None:
        """Remember what a row is of."""
        self.conversation_of[row_id] = of.id
        self.about[row_id] = frozenset(about)


async def talk(firm: "House") -> None:
    """The conversations of everybody."""
    sharing = [person for person in firm.people.values() if person.user.user.role not in ALONE]
    for at, person in enumerate(firm.people.values()):
        place = sharing.index(person) if person in sharing else None
        others = [] if place is None else [sharing[(place + step) % len(sharing)] for step in (1, 3)]
        await _conversation(firm, person, others, at)


async def _conversation(firm: "House", owner: "Person", others: list["Person"], at: int) -> None:
    make, user = firm.make, owner.user.user
    mode = Mode.GROUP if at % 2 else Mode.SOLO
    archived = make.now if at % 5 == 0 else None
    made = await talks.conversation(make, user, *(other.user.user for other in others), mode=mode, archived_at=archived)
    firm.talks.taking_part[made.id] = frozenset({user.id, *(other.user.user.id for other in others)})
    firm.talks.owned[user.id] = id_of(made)
    firm.talks.note(made, made.id)
    firm.add(made)
    seen = [each.id for each in firm.clients if owner.everything or each.id in (owner.clients or ())]
    elsewhere = firm.clients[(7 * at) % len(firm.clients)].id
    first = await _exchange(firm, made, 1, seen[:1], seen[:2])
    await _exchange(firm, made, 4, (), ())
    await _exchange(firm, made, 7, [elsewhere], [elsewhere])
    await talks.title(make, made, id_of(first), first)
    joined = "select id from conversation_participants where conversation_id = $1 and user_id = $2"
    participant_id = await make.connection.fetchval(joined, made.id, user.id)
    await firm.happened(stream_of(made.id), 10, EventKind.PARTICIPANT_JOINED, participant_id)


async def _exchange(
    firm: "House", of: Conversation, seq: int, asked: Collection[UUID], told: Collection[UUID]
) -> Message:
    """A question about some clients, its answer about some more, and what the log tells of both."""
    make = firm.make
    question = await talks.message(make, of, **_said(firm, asked))
    answered = await talks.answer(make, of, question, **_said(firm, told))
    run = await talks.run(make, question, answered)
    await talks.step(make, answered, seq + 1, id_of(answered))
    for row, about in ((question, asked), (answered, told), (run, told)):
        firm.talks.note(of, row.id, about)
        firm.add(row)
    await firm.happened(stream_of(of.id), seq, EventKind.MESSAGE_POSTED, question.id)
    await firm.happened(stream_of(of.id), seq + 1, EventKind.TEXT_DELTA, answered.id)
    await firm.happened(stream_of(of.id), seq + 2, EventKind.RUN_COMPLETED, answered.id)
    return question


def _said(firm: "House", about: Collection[UUID]) -> Mapping[str, Any]:
    """Words, and whatever else a message can hold, that name the message and its clients."""
    message_id = firm.make.new_id()
    named = " ".join([encode("message", message_id), *(encode("client", each) for each in about)])
    refs = tuple(Ref("client", each) for each in about)
    insight = Insight(
        context=Context(refs, named),
        tools=(ToolNote("find_clients", named),),
        entities=(Mention("client", named, named),),
        citations=tuple(Citation(named, ref) for ref in refs),
    )
    cards = [ActionCardBlock(card=CardKind.NAVIGATE, label=named, target=ref) for ref in refs]
    return {
        "id": message_id,
        "text": f"Said of {named}",
        "about": about,
        "insight": stored(insight),
        "more": cards,
    }
