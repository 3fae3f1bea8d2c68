"""Whose each row is, said once more in plain Python, table by table.

A new table needs its line here. ADMIN and AUDITOR see what CUT says of others.
"""

from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

from asyncpg import Record

from domain.access import Role
from graph.ids import encode, id_of
from tests.factories.house import House, Person, hears
from tests.factories.house_talks import Talks

Sees = Callable[[Record, Person], bool]


def _of_client(column: str) -> Sees:
    return lambda row, person: row[column] in (person.clients or ())


def _of_book(column: str) -> Sees:
    return lambda row, person: row[column] in (person.books or ())


def _own(column: str) -> Sees:
    return lambda row, person: row[column] == person.user.user.id


def _nobodys(_: Record, __: Person) -> bool:
    return False


def _firms(_: Record, person: Person) -> bool:
    return person.everything


def _of_staff(row: Record, person: Person) -> bool:
    """What advisors note of a client is not for the client."""
    return row["client_id" if "client_id" in row else "id"] in (person.clients or ()) and bool(person.books)


def _done(row: Record, person: Person) -> bool:
    """What was done to what one sees, and to one's own sign-in; for the staff."""
    if person.user.user.role is Role.CLIENT:
        return False
    of_book = row["client_id"] is None and row["book_id"] in (person.books or ())
    return of_book or row["user_id"] == person.user.user.id or row["client_id"] in (person.clients or ())


CUT: Final[Mapping[str, Sees]] = {
    "books": _of_book("id"),
    "cash_balances": _of_client("client_id"),
    "client_parties": _of_client("client_id"),
    "client_profiles": _of_staff,
    "client_tax_ids": _of_client("id"),
    "client_words": _of_client("client_id"),
    "clients": _of_client("id"),
    "glass_accesses": lambda row, person: (
        row["user_id"] == person.user.user.id or row["book_id"] in (person.books or ())
    ),
    "kyc_reminders": _of_staff,
    "memberships": _of_book("book_id"),
    "orders": _of_client("client_id"),
    "portfolios": _of_client("client_id"),
    "positions": _of_client("client_id"),
    "sessions": _own("user_id"),
    "transactions": _of_client("client_id"),
}
OWN: Final[Mapping[str, Sees]] = {
    "announcements": lambda row, person: person.everything or hears(person, dict(row)),
    "notifications": _own("user_id"),
    "receipts": _own("user_id"),
    # The paper broker's own book.
    "paper_fills": _firms,
    "paper_orders": _firms,
    "account_links": _firms,
    "audit_events": lambda row, person: person.everything or _done(row, person),
    "audit_sealed": _firms,
    "audit_seals": _firms,
    "audit_unsealed": _firms,
    "service_keys": _firms,
    "credentials": _nobodys,
    "second_factors": _own("id"),
    "recovery_codes": _own("user_id"),
    "sign_in_attempts": _nobodys,
    "sign_in_challenges": _nobodys,
    "refresh_tokens": _nobodys,
    "provider_flows": _nobodys,
    "provider_identities": _own("user_id"),
    "rate_windows": _nobodys,
    "user_preferences": _own("id"),
}
ALL: Final = {"event_streams", "fx_rates", "instruments", "market_days", "person_keys", "prices", "teams", "units"}
# Those that are seen as their parent is.
THROUGH: Final = {
    "day_values": ("portfolio", "portfolio_id"),
    "order_fills": ("order", "order_id"),
    "portfolio_targets": ("portfolio", "portfolio_id"),
}
# Who takes part sees them, of whatever role, and as far as it sees the clients whose data they hold.
TALKS: Final[Mapping[str, Callable[[Talks, Record, Person], bool]]] = {
    "conversations": lambda talks, row, person: talks.takes_part(person, row["id"]),
    "conversation_participants": lambda talks, row, person: talks.takes_part(person, row["conversation_id"]),
    "conversation_titles": lambda talks, row, person: talks.sees(person, row["message_id"]),
    "message_clients": lambda talks, row, person: talks.takes_part(person, row["conversation_id"]),
    "messages": lambda talks, row, person: talks.sees(person, row["id"]),
    "model_calls": lambda talks, row, person: talks.sees(person, row["message_id"]),
    "run_steps": lambda talks, row, person: talks.sees(person, row["message_id"]),
    "runs": lambda talks, row, person: talks.sees(person, row["message_id"]),
    "tool_uses": lambda talks, row, person: talks.sees(person, row["message_id"]),
}
BY_ID: Final = {"households": "household", "lots": "lot", "users": "user"}
TABLES: Final = sorted({*CUT, *OWN, *ALL, *BY_ID, *TALKS, *THROUGH, "events"})


def expected(firm: House, person: Person, table: str, row: Record) -> bool:
    """Whether PostgreSQL should show a row to the application on behalf of a person."""
    if table == "events":
        return _heard(firm, person, row)
    if table in TALKS:
        return TALKS[table](firm.talks, row, person)
    if table in THROUGH:
        prefix, column = THROUGH[table]
        return firm.sees(person, encode(prefix, row[column]))
    if table in BY_ID:
        row_id = encode(BY_ID[table], row["id"])
        # What other tests have made: staff.
        return firm.sees(person, row_id if row_id in firm.rows else id_of(firm.clerk))
    if table in CUT:
        return person.everything or CUT[table](row, person)
    return table in ALL or OWN[table](row, person)


def _heard(firm: House, person: Person, row: Record) -> bool:
    """One's own stream, and those of the portfolios that one sees and of the conversations that one takes part in."""
    kind, _, key = row["stream"].partition(":")
    if kind == "conversation":
        return firm.talks.takes_part(person, UUID(key))
    if kind == "orders":
        return firm.sees(person, encode("portfolio", UUID(key)))
    return bool(row["stream"] == f"user:{person.user.user.id}")
