"""The doors through which rows leave the firm, or are reached in it: each tells what a person gets at, and should.

Every door is tried with everything that there is, one's own and others' alike.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias
from uuid import UUID

import msgspec

from domain.access import ALLOWED, Action
from domain.conversations.entities import stream_of
from domain.identity import Session
from graph.follow import StreamCursor
from graph.ids import ENTITIES, PREFIXES, encode
from graph.node_queries import MOST
from tests.factories.house import House, Person, id_in
from tests.strategies.lists import INPUTS
from tests.support.gql import Gql
from tests.support.inputs import document
from tests.support.lists import Listing, listings
from tests.support.served import Served, Socket, socket_to
from tests.support.sight import TABLES, expected
from tests.support.stage import Stage

ID: Final = re.compile(rf"({'|'.join(sorted(ENTITIES, key=len, reverse=True))})_[0-9a-f]{{32}}")
ROOT: Final = [listing for listing in listings(INPUTS.schema) if not listing.nested]
# The types that entities are shown as; that of a session's tokens has taken its name.
SHOWN: Final = {prefix: "UserSession" if entity is Session else entity.__name__ for entity, prefix in PREFIXES.items()}
PREFIX_OF: Final = {kind: prefix for prefix, kind in SHOWN.items()}
# Lists that a role may be forbidden altogether, and what it takes to see them; mutations likewise.
NEEDED: Final[Mapping[str, Action]] = {
    "deadJobs": Action.MANAGE_JOBS,
    "ordersAwaitingApproval": Action.APPROVE_ORDER,
    "retryJob": Action.MANAGE_JOBS,
    "auditEvents": Action.READ_AUDIT,
    "verifyAudit": Action.READ_AUDIT,
    "announce": Action.ANNOUNCE,
    "withdrawAnnouncement": Action.ANNOUNCE,
    "eraseClient": Action.ERASE_PERSON,
    "eraseUser": Action.ERASE_PERSON,
    **dict.fromkeys(
        (
            "inviteUser",
            "resendInvitation",
            "changeUserRole",
            "disableUser",
            "enableUser",
            "signOutUser",
            "resetSecondFactor",
        ),
        Action.MANAGE_USERS,
    ),
}
# Lists that hold some of the rows alone, whoever asks.
CUT_LISTS: Final = {"ordersAwaitingApproval"}
# Those that grow by being asked: an auditor's reading is told in the list itself. By their ids all rows are asked for.
GROWING: Final = {"auditEvents"}
AT_ONCE: Final = 10


class Firm(msgspec.Struct, frozen=True):
    """The firm, the application on it, and where it listens."""

    stage: Stage
    house: House
    address: Served

    def as_(self, person: Person) -> Gql:
        """Speaking as somebody."""
        return self.stage.gql.as_(person.user)


Found: TypeAlias = tuple[set[str], set[str]]
Door: TypeAlias = Callable[[Firm, Person], Awaitable[Found]]


def may(person: Person, name: str) -> bool:
    """Whether a person's role allows a list or a mutation at all."""
    return name not in NEEDED or NEEDED[name] in ALLOWED[person.user.user.role]


def told(house: House, answer: Any) -> set[str]:
    """The rows of the firm that an answer tells of: by their ids, or by texts that hold them."""
    return {found.group() for found in ID.finditer(json.dumps(answer))} & set(house.rows)


async def all_of(gql: Gql, listing: Listing, cut: Mapping[str, Any] | None) -> tuple[set[str], int]:
    """The ids of a whole list under a filter, and what it says is their number."""
    page = await listing.page(gql, first=200, filter=cut)
    assert not page["pageInfo"]["hasNextPage"]
    return {node["id"] for node in page["nodes"]}, page["totalCount"]


async def query(firm: Firm, person: Person) -> Found:
    """All lists, and how long they say that they are."""
    reached: set[str] = set()
    meant: set[str] = set()
    for listing in (each for each in ROOT if may(person, each.name) and each.name not in GROWING):
        mine, count = await all_of(firm.as_(person), listing, None)
        assert len(mine) == count, listing
        reached |= mine & set(firm.house.rows)
        if listing.name not in CUT_LISTS:
            meant |= firm.house.visible(person, PREFIX_OF[listing.node.name])
    return reached, meant


async def node(firm: Firm, person: Person) -> Found:
    """Everything by its id."""
    wanted = list(firm.house.rows)
    reached: set[str] = set()
    for at in range(0, len(wanted), MOST):
        some = wanted[at : at + MOST]
        found = await firm.as_(person).run("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=some)
        assert all(each is None or each["id"] == row_id for each, row_id in zip(found["nodes"], some, strict=True))
        reached |= {each["id"] for each in found["nodes"] if each}
    return reached, {row_id for row_id in wanted if firm.house.sees(person, row_id)}


ORDERS: Final = """subscription ($of: ID!, $after: String) { orderEvents(portfolioId: $of, after: $after) {
    cursor order { id portfolio { id client { id name book { id name } } } }
} }"""
NOTIFICATIONS: Final = """subscription ($after: String) { notifications(after: $after) {
    notification { id client { id name } book { id name } actor { id name } }
} }"""


TALKS: Final = """subscription ($of: ID!, $after: String) { conversationEvents(conversationId: $of, after: $after) {
    __typename
    ... on MessagePosted { message { id blocks { ... on TextBlock { text } } context { nodeIds } } }
    ... on TextDelta { messageId text }
    ... on RunCompleted { message { id blocks { ... on TextBlock { text } } } toolsUsed { line } }
} }"""


async def subscription(firm: Firm, person: Person) -> Found:
    """The streams of all portfolios and conversations, as far as they can be followed, and one's own notifications."""
    house, reached, meant = firm.house, set[str](), set[str]()
    portfolios = house.ids("portfolio")
    async with socket_to(firm.address, person.user.token) as socket:
        for at in range(0, len(portfolios), AT_ONCE):
            reached |= await _followed(firm, socket, portfolios[at : at + AT_ONCE])
        reached |= await _notified(firm, socket, person)
        reached |= await _heard(firm, socket)
    for prefix in ("portfolio", "order"):
        meant |= house.visible(person, prefix)
    seen = [client for client in house.clients if house.sees(person, f"client_{client.id.hex}")]
    meant |= {f"client_{client.id.hex}" for client in seen}
    meant |= {row_id for row_id in house.visible(person, "book") if UUID(row_id[5:]) in {c.book_id for c in seen}}
    meant |= await _spoken_of(firm, person) | _talked_of(house, person)
    return reached, meant


def _talked_of(house: House, person: Person) -> set[str]:
    """The messages of one's conversations, as far as one sees them, and the clients whom they name."""
    messages = house.visible(person, "message")
    return messages | {encode("client", client) for each in messages for client in house.talks.about[id_in(each)]}


async def _heard(firm: Firm, socket: Socket) -> set[str]:
    """What the streams of conversations tell from their beginning to their end, of those that can be followed."""
    reached: set[str] = set()
    for conversation in firm.house.ids("conversation"):
        after = StreamCursor(stream_of(id_in(conversation)), 0).encode()
        asked = {"query": TALKS, "variables": {"of": conversation, "after": after}}
        await socket.send(type="subscribe", id=conversation, payload=asked)
        while (message := await socket.receive())["type"] == "next":
            assert "errors" not in message["payload"], message
            reached |= told(firm.house, message["payload"])
            if message["payload"]["data"]["conversationEvents"]["__typename"] == "ParticipantJoined":
                await socket.send(type="complete", id=conversation)
                break
        else:
            assert [error["extensions"]["code"] for error in message["payload"]] == ["NOT_FOUND"], message
    return reached


async def _followed(firm: Firm, socket: Socket, portfolios: list[str]) -> set[str]:
    """What the streams of some portfolios tell from their beginning."""
    for portfolio in portfolios:
        cursor = StreamCursor(f"orders:{UUID(portfolio.rpartition('_')[2])}", 0).encode()
        asked = {"query": ORDERS, "variables": {"of": portfolio, "after": cursor}}
        await socket.send(type="subscribe", id=portfolio, payload=asked)
    reached: set[str] = set()
    for _ in portfolios:
        message = await socket.receive()
        if message["type"] == "next":
            assert "errors" not in message["payload"], message
            reached |= told(firm.house, message["payload"])
            await socket.send(type="complete", id=message["id"])
        else:
            assert [error["extensions"]["code"] for error in message["payload"]] == ["NOT_FOUND"], message
    return reached


async def _own_events(firm: Firm, person: Person) -> tuple[str, int, int]:
    """A person's stream, the place before its first event, and how many there are."""
    stream = f"user:{person.user.user.id}"
    counting = "select coalesce(min(seq), 1) - 1, count(*) from events where stream = $1"
    first, number = await firm.stage.owner.fetchrow(counting, stream) or (0, 0)
    return stream, first, number


async def _notified(firm: Firm, socket: Socket, person: Person) -> set[str]:
    """What the person's own stream tells from its beginning."""
    stream, first, number = await _own_events(firm, person)
    await socket.subscribe(NOTIFICATIONS, id="told", after=StreamCursor(stream, first).encode())
    return set[str]().union(*[told(firm.house, await socket.next()) for _ in range(number)])


async def _spoken_of(firm: Firm, person: Person) -> set[str]:
    """One's own notifications, and what they speak of as far as one may see it."""
    house = firm.house
    own = await firm.stage.owner.fetch("select * from notifications where user_id = $1", person.user.user.id)
    spoken = {f"notification_{row['id'].hex}" for row in own}
    for row in own:
        of = {f"{kind}_{row[f'{kind}_id'].hex}" for kind in ("client", "book") if row[f"{kind}_id"]}
        of |= {f"user_{row['actor_id'].hex}"} if row["actor_id"] else set()
        spoken |= {row_id for row_id in of & set(house.rows) if house.sees(person, row_id)}
    return spoken


# Changes that a rule declines once the row is found, so that nothing is changed by finding out.
PROBES: Final[Mapping[str, tuple[str, Action, Callable[[str], dict[str, Any]]]]] = {
    "book": ("createHousehold", Action.CREATE_CLIENT, lambda row_id: {"bookId": row_id, "name": " "}),
    "client": (
        "updateClient",
        Action.UPDATE_CLIENT,
        lambda row_id: {"clientId": row_id, "version": 99, "details": {"name": "x"}},
    ),
    "household": (
        "renameHousehold",
        Action.UPDATE_CLIENT,
        lambda row_id: {"householdId": row_id, "version": 99, "name": "x"},
    ),
    "order": ("amendOrder", Action.PLACE_ORDER, lambda row_id: {"orderId": row_id, "version": 99, "quantity": "1"}),
    "portfolio": (
        "updatePortfolio",
        Action.OPEN_PORTFOLIO,
        lambda row_id: {"portfolioId": row_id, "version": 99, "name": "x"},
    ),
    "conversation": ("renameConversation", Action.CONVERSE, lambda row_id: {"conversationId": row_id, "title": " "}),
    "run": ("cancelRun", Action.CONVERSE, lambda row_id: {"runId": row_id}),
    "notification": (
        "markNotificationsRead",
        Action.MARK_NOTIFICATIONS,
        lambda row_id: {"notificationIds": [row_id]},
    ),
}
PROBED: Final = 4


async def mutation(firm: Firm, person: Person) -> Found:
    """Some rows of each kind that can be changed, one's own and others'."""
    house, reached, meant = firm.house, set[str](), set[str]()
    for prefix, (name, needed, given) in PROBES.items():
        mine = [row_id for row_id in house.ids(prefix) if house.changes(person, row_id)]
        others = [row_id for row_id in house.ids(prefix) if not house.changes(person, row_id)]
        for row_id in (*mine[:PROBED], *others[:PROBED]):
            answer = await firm.as_(person).ask(document(name), input=given(row_id))
            if needed not in ALLOWED[person.user.user.role]:
                assert answer.codes == ["FORBIDDEN"]
                continue
            assert answer.codes in ([], ["NOT_FOUND"]), (name, answer)
            reached |= {row_id} if not answer.codes else set()
            meant |= {row_id} if row_id in mine else set()
    return reached, meant


async def plain_sql(firm: Firm, person: Person) -> Found:
    """All tables, as the application role: no predicate of any repository stands between."""
    reached: set[str] = set()
    meant: set[str] = set()
    viewer = await firm.stage.make.viewer(person.user)
    async with firm.stage.services.doors.database.lend(viewer) as lent:
        for table in TABLES:
            shown = await lent.connection.fetch(f"select * from {table}")  # noqa: S608 - our own names
            there = await firm.stage.owner.fetch(f"select * from {table}")  # noqa: S608 - as above
            reached |= {f"{table} {tuple(row)!r}" for row in shown}
            meant |= {f"{table} {tuple(row)!r}" for row in there if expected(firm.house, person, table, row)}
    return reached, meant


DOORS: Final[Mapping[str, Door]] = {
    "query": query,
    "subscription": subscription,
    "mutation": mutation,
    "node id": node,
    "plain SQL": plain_sql,
}
