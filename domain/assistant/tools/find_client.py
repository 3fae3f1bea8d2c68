"""The tool that finds clients by words of their names."""

from collections.abc import Mapping
from typing import Annotated, Final
from uuid import UUID

import msgspec

from domain.access import Viewer
from domain.assistant.tools import Found, Tool
from domain.assistant.tools.facts import ClientFact, ClientFacts, focus_on, ref, told
from domain.assistant.tools.subjects import LONGEST_TEXT, MOST_CANDIDATES, clients_by_words
from domain.books import Book
from domain.clients import Client
from domain.conversations.blocks import CellKind, TableBlock, TableColumn
from domain.work import Work


class ClientSearch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which clients are meant."""

    text: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=LONGEST_TEXT,
            description="Words of the client's name, or their beginnings; all of them must fit.",
        ),
    ]


COLUMNS: Final = (
    TableColumn("Client", CellKind.REF),
    TableColumn("Name"),
    TableColumn("Segment"),
    TableColumn("Status"),
    TableColumn("KYC"),
    TableColumn("KYC until", CellKind.DATE),
    TableColumn("Book"),
)


async def _find(work: Work, viewer: Viewer, asked: ClientSearch) -> Found:
    page = await clients_by_words(work, viewer, asked.text)
    found = page.rows[:MOST_CANDIDATES]
    books = {book.id: book for book in await work.books.by_ids(viewer, list({each.book_id for each in found}))}
    facts = [_fact(client, books) for client in found]
    return Found(
        facts=told(ClientFacts(asked.text, len(page.rows), len(page.rows) - len(found), page.has_next, tuple(facts))),
        blocks=(TableBlock(title="Clients", columns=COLUMNS, rows=tuple(map(_row, facts))),) if facts else (),
        clients=frozenset(client.id for client in page.rows),
        focus=tuple(focus_on("client", client) for client in found) if len(page.rows) == 1 else (),
    )


def _fact(client: Client, books: Mapping[UUID, Book]) -> ClientFact:
    book = books.get(client.book_id)
    return ClientFact(
        id=ref("client", client.id),
        name=client.name,
        kind=client.kind,
        segment=client.segment,
        status=client.status,
        kyc_status=client.kyc_status,
        kyc_expires_on=client.kyc_expires_on,
        risk_profile=client.risk_profile,
        currency=client.currency,
        book=book.name if book else None,
    )


def _row(fact: ClientFact) -> tuple[str | None, ...]:
    until = fact.kyc_expires_on.isoformat() if fact.kyc_expires_on else None
    return fact.id, fact.name, fact.segment, fact.status, fact.kyc_status, until, fact.book


FIND_CLIENT: Final = Tool(
    name="find_client",
    description="Find clients by words of their names: gives up to ten with their ids, segment, status, KYC and book. "
    "Use it when a client is named and its id is not known.",
    arguments=ClientSearch,
    line=lambda asked: f"Looking for the client {asked.text}",
    call=_find,
)
