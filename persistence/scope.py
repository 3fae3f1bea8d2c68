"""Whose rows a table holds: one declaration gives the repository's predicate and the database's policy.

The predicate gives the index; the policy guards against a forgotten predicate. What the lending statement tells the
database about the viewer (`persistence/database.py`) is all that a policy reads. Membership is tested with
`in (select unnest(...))`, which PostgreSQL hashes once a statement; `= any(array)` in a policy is up to 3,000 times
slower. `nullif` is there because a setting that was never made reads as an empty string.
"""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final, cast

import msgspec
from sqlalchemy import (
    Boolean,
    ColumnElement,
    FromClause,
    Join,
    Select,
    and_,
    any_,
    bindparam,
    false,
    literal_column,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Uuid

from domain.access import Sight, Viewer

# Asked once a statement: as a plain expression it would be asked once a row, which doubles what a policy costs.
EVERYTHING: Final = "(select coalesce(current_setting('steward.everything', true), '') = 'on')"
IDENTITY: Final = "coalesce(current_setting('steward.identity', true), '') = 'on'"
SIGNED_IN: Final = "coalesce(current_setting('steward.user', true), '') <> ''"
USER: Final = "nullif(current_setting('steward.user', true), '')::uuid"
# Only an end client is told any clients; staff are told books, or everything.
END_CLIENT: Final = "coalesce(current_setting('steward.clients', true), '') not in ('', '{}')"
BOOKS: Final = "select unnest(nullif(current_setting('steward.books', true), '')::uuid[])"
CLIENTS: Final = "select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])"


# Stands for the table's own name in a condition, where a subquery needs it.
OWN: Final = "{table}"


class Scope(msgspec.Struct, frozen=True):
    """The policies' conditions to see, to add and to change a row, and the repository's predicate for each sight."""

    see: str
    add: str
    change: str
    predicate: Callable[[FromClause, Sight], ColumnElement[bool]]


def _viewer_ids(name: str) -> Any:
    return any_(bindparam(name, type_=ARRAY(Uuid)))


def _everyone(_: FromClause, __: Sight) -> ColumnElement[bool]:
    return true()


def by_book(
    book: str = "book_id", client: str | None = "client_id", *, add: str | None = None, client_if: str = "true"
) -> Scope:
    """Rows of a book; `client` is the column by which an end client sees its own household's.

    Of these it sees those for which `client_if` holds. `add` is the condition for adding where it differs from that for
    seeing.
    """

    def predicate(table: FromClause, sight: Sight) -> ColumnElement[bool]:
        if sight is Sight.EVERYTHING:
            return true()
        if sight is Sight.BOOKS:
            return cast("ColumnElement[bool]", table.c[book] == _viewer_ids("viewer_books"))
        if client is None:
            return false()
        return and_(table.c[client] == _viewer_ids("viewer_clients"), literal_column(client_if, Boolean))

    rule = f"{EVERYTHING} or {book} in ({BOOKS})"
    if client:
        rule += f" or {client} in ({CLIENTS})" + (f" and {client_if}" if client_if != "true" else "")
    return Scope(see=rule, add=add or rule, change=rule, predicate=predicate)


def through(parent: str, column: str, *, staff: bool = False) -> Scope:
    """Rows that are never listed alone: visible as their parent is, whose own policy applies in the subquery.

    A test for each row, by the parent's key: a set of the parent's ids would be gathered anew for each statement.
    With `staff`, end clients do not see them.
    """
    rule = f"exists (select from {parent} where {parent}.id = {OWN}.{column})"
    if staff:
        rule += f" and not {END_CLIENT}"
    return Scope(see=rule, add=rule, change=rule, predicate=_everyone)


def by_user(column: str = "user_id", *, add: str | None = None) -> Scope:
    """Rows of the viewer itself; `add` where others leave something for it, as notifications are."""

    def predicate(table: FromClause, _: Sight) -> ColumnElement[bool]:
        return table.c[column] == bindparam("viewer_id", type_=Uuid)

    rule = f"{column} = {USER}"
    return Scope(see=rule, add=add or rule, change=rule, predicate=predicate)


def shared(*, add: str = "false", change: str = "false") -> Scope:
    """Rows that everybody who is signed in may read: markets, the organisation."""
    return Scope(see=f"{SIGNED_IN} or {IDENTITY}", add=add, change=change, predicate=_everyone)


def internal() -> Scope:
    """Rows of sign-in itself, which no viewer reads: the door of identity alone opens them."""
    return Scope(see=IDENTITY, add=IDENTITY, change=IDENTITY, predicate=_everyone)


def nobody() -> Scope:
    """Rows that only vetted functions read and write."""
    return Scope(see="false", add="false", change="false", predicate=_everyone)


def firm_only() -> Scope:
    """Rows that only the firm itself reads and writes, in its jobs; an admin may look."""
    return Scope(see=EVERYTHING, add=EVERYTHING, change=EVERYTHING, predicate=_everyone)


def common(*, see: str | None = None) -> Scope:
    """Rows that the transactions of all viewers write, such as counters and the audit trail; `see` narrows reading."""
    rule = f"{SIGNED_IN} or {IDENTITY}"
    return Scope(see=see or rule, add=rule, change=see or rule, predicate=_everyone)


def _joined(source: FromClause) -> Iterator[FromClause]:
    """The tables of a FROM; not those that an outer join may leave out, where a predicate would leave out the rest."""
    if isinstance(source, Join):
        yield from _joined(source.left)
        if not source.isouter and not source.full:
            yield from _joined(source.right)
    else:
        yield source


def scoped(statement: Select[Any], sight: Sight) -> Select[Any]:
    """The statement cut to what the sight sees, for every table in its FROM that has a scope."""
    for table in chain.from_iterable(map(_joined, statement.get_final_froms())):
        scope = getattr(table, "info", {}).get("scope")
        if isinstance(scope, Scope):
            statement = statement.where(scope.predicate(table, sight))
    return statement


def viewer_values(viewer: Viewer) -> dict[str, Any]:
    """The values of the predicates' parameters."""
    return {"viewer_books": viewer.book_ids, "viewer_clients": viewer.client_ids, "viewer_id": viewer.user_id}


def policies(table: str, scope: Scope) -> list[str]:
    """The statements that put the scope into the database, as the migrations hold them."""
    see, add, change = (rule.replace(OWN, table) for rule in (scope.see, scope.add, scope.change))
    return [
        f"alter table {table} enable row level security",
        f"create policy {table}_see on {table} for select using ({see})",
        f"create policy {table}_add on {table} for insert with check ({add})",
        f"create policy {table}_change on {table} for update using ({see}) with check ({change})",
        f"create policy {table}_remove on {table} for delete using (({see}) and ({change}))",
    ]
