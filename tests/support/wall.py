"""The database's own wall, tried in plain SQL: what each kind of viewer gets done on a table, by its policies alone."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import msgspec
from asyncpg import Connection, Record
from sqlalchemy import ARRAY, Boolean, Column, Date, Integer, LargeBinary, Numeric, Table, Text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, TSVECTOR
from sqlalchemy.types import Uuid

from tests.factories.house import House, id_in

SETTINGS: Final = ("user", "books", "clients", "everything", "identity")
COMMANDS: Final = ("select", "insert", "update", "delete")
POLICIES: Final = {"see": "select", "add": "insert", "change": "update", "remove": "delete"}

# What an attempt comes to: a policy refuses it, or there is nothing to be got at, or it gets at rows, whatever else
# may then be wrong with it.
REFUSED: Final = "refused"
NOTHING: Final = "nothing"
DONE: Final = "done"


class Wall(msgspec.Struct, frozen=True):
    """A firm with rows in every table, and a connection that can become anybody."""

    connection: "Connection[Record]"
    house: House

    async def row(self, table: str) -> dict[str, Any]:
        """A row that the member of one book does not see, where there is such a one."""
        await become(self.connection, self.member)
        seen = [row[0] for row in await self.connection.fetch(f"select ctid::text from {table}")]  # noqa: S608 - our own names
        await self.connection.execute("reset role")
        hidden = f"select row_to_json(t)::text from {table} t order by ctid::text = any($1), ctid limit 1"  # noqa: S608 - as above
        found: dict[str, Any] = json.loads(await self.connection.fetchval(hidden, seen))
        return found

    @property
    def member(self) -> Mapping[str, str]:
        """The settings of an advisor with one book."""
        person = self.house.people["advisor A1x"]
        book = next(iter(person.books or ()))
        return {"user": str(person.user.user.id), "books": f"{{{book}}}", "clients": "{}"}

    async def viewers(self, row: Mapping[str, Any]) -> Mapping[str, Mapping[str, str]]:
        """Nobody, somebody who has signed in and has no book, the member of one book, and whoever may do all."""
        stranger = {"user": str(uuid4()), "books": "{}", "clients": "{}"}
        owner = self._participant(row) or row.get("user_id") or str(row.get("stream", "")).partition(":")[2]
        owner = owner or row.get("id") or str(uuid4())
        return {
            "nobody": {},
            "stranger": stranger,
            "member": self.member,
            "insider": {**stranger, "user": owner, "everything": "on", "identity": "on"},
        }

    def _participant(self, row: Mapping[str, Any]) -> str | None:
        """Who has started the conversation that a row is of, if it is of one."""
        of = {UUID(found) for name in ("conversation_id", "message_id", "id") if (found := row.get(name))}
        talks = self.house.talks
        of |= {talks.conversation_of[each] for each in of if each in talks.conversation_of}
        owners = (str(owner) for owner, row_id in talks.owned.items() if id_in(row_id) in of)
        return next(owners, None)

    async def outcome(self, table: str, command: str, row: Mapping[str, Any], settings: Mapping[str, str]) -> str:
        """What a command comes to, with all rights on the table that a role can have; nothing of it stays."""
        await self.connection.execute("savepoint attempt")
        try:
            await become(self.connection, settings)
            return await self._attempt(table, command, json.dumps(row))
        except asyncpg.InsufficientPrivilegeError:
            return REFUSED
        except asyncpg.PostgresError:
            return DONE
        finally:
            await self.connection.execute("rollback to savepoint attempt")

    async def _attempt(self, table: str, command: str, row: str) -> str:
        given = f"json_populate_record(null::{table}, $1::json)"
        column = next(iter(json.loads(row)))
        # None of these reads the table, so that each is held back by the policy of its own command alone.
        statements = {
            "select": f"select count(*) from {table}",  # noqa: S608 - our own names
            "insert": f"insert into {table} overriding system value select ({given}).*",
            "update": f"update {table} set {column} = ({given}).{column}",  # noqa: S608 - as above
            "delete": f"delete from {table}",  # noqa: S608 - as above
        }
        if command == "select":
            return DONE if await self.connection.fetchval(statements[command]) else NOTHING
        given_row = [row] if "$1" in statements[command] else []
        status = await self.connection.execute(statements[command], *given_row)
        return NOTHING if status.endswith(" 0") else DONE

    async def moved(self, table: str, row: Mapping[str, Any]) -> str:
        """What it comes to if the member of one book makes what it sees into a row that it does not see."""
        await self.connection.execute("savepoint attempt")
        columns = ", ".join(row)
        values = f"select {columns} from json_populate_record(null::{table}, $1::json)"  # noqa: S608 - our own names
        try:
            await become(self.connection, self.member)
            status = await self.connection.execute(f"update {table} set ({columns}) = ({values})", json.dumps(row))  # noqa: S608 - as above
        except asyncpg.InsufficientPrivilegeError:
            return REFUSED
        except asyncpg.PostgresError:
            return DONE
        else:
            return NOTHING if status.endswith(" 0") else DONE
        finally:
            await self.connection.execute("rollback to savepoint attempt")


async def become(connection: "Connection[Record]", settings: Mapping[str, str]) -> None:
    """Act as the application, for a viewer with these settings, until the end of the transaction."""
    values = [settings.get(name, "") for name in SETTINGS]
    calls = ", ".join(f"set_config('steward.{name}', ${at}, true)" for at, name in enumerate(SETTINGS, 1))
    await connection.execute(f"select {calls}", *values)
    await connection.execute("set local role steward_app")


DROP_CHECKS: Final = """
do $$ declare each record; begin
    for each in select conname from pg_constraint where conrelid = '{table}'::regclass and contype = 'c' loop
        execute format('alter table {table} drop constraint %I', each.conname);
    end loop;
end $$
"""


async def fill(connection: "Connection[Record]", tables: Mapping[str, Table]) -> None:
    """Put a row into each table that has none, past all that a row must be; needs a superuser."""
    await connection.execute("set session_replication_role = replica")
    for name, table in tables.items():
        if await connection.fetchval(f"select exists (select from {name})"):  # noqa: S608 - our own names
            continue
        await connection.execute(DROP_CHECKS.format(table=name))
        values = [await _value(connection, column) for column in table.columns]
        places = ", ".join(f"${at}" for at in range(1, len(values) + 1))
        await connection.execute(f"insert into {name} overriding system value values ({places})", *values)  # noqa: S608 - our own names
    await connection.execute("reset session_replication_role")


async def _value(connection: "Connection[Record]", column: "Column[Any]") -> Any:
    """Something that a column takes: what it refers to, where it refers to anything."""
    for key in column.foreign_keys:
        found = await connection.fetchval(f"select {key.column.name} from {key.column.table.name} limit 1")  # noqa: S608 - our own names
        if found is not None:
            return found
    return next(value for kind, value in _VALUES.items() if isinstance(column.type, kind))


_VALUES: Final[Mapping[type, Any]] = {
    Uuid: UUID(int=1),
    Text: "x",
    Integer: 1,
    Numeric: Decimal(1),
    Date: date(2030, 1, 1),
    TIMESTAMP: datetime(2030, 1, 1, tzinfo=UTC),
    Boolean: False,
    LargeBinary: b"x",
    JSONB: "{}",
    ARRAY: [],
    TSVECTOR: None,
}
