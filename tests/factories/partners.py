"""Service accounts with their keys, and broken glass."""

from datetime import timedelta
from typing import Any

import msgspec

from domain.access import GRANTABLE, Action, Role
from domain.books import Book
from domain.break_glass import GlassAccess
from domain.identity import User, digest_of
from domain.service_accounts import ServiceAccount, ServiceKey, new_text, prefix_of
from graph.ids import id_of
from persistence import break_glass, service_accounts
from tests.factories.firm import Make


class Program(msgspec.Struct, frozen=True):
    """A partner's program, with a key that it speaks by."""

    user: User
    key: ServiceKey
    token: str

    @property
    def account(self) -> ServiceAccount:
        """The account, as admins see it."""
        user = self.user
        return ServiceAccount(
            user.id, user.name, user.sort_name, user.email, user.status, user.created_at, user.version
        )

    @property
    def key_id(self) -> str:
        """The key's id, as clients see it."""
        return id_of(self.key)


async def program(make: Make, *books: Book, actions: Any = GRANTABLE, **given: Any) -> Program:
    """A service account that is a member of some books, with a key that allows some actions."""
    signed_in = await make.user(Role.SERVICE)
    await make.connection.execute("delete from sessions where user_id = $1", signed_in.user.id)
    await make.connection.execute("delete from credentials where id = $1", signed_in.user.id)
    for book in books:
        await make.membership(book, signed_in.user)
    return await key(make, signed_in.user, actions=actions, **given)


async def key(make: Make, user: User, actions: Any = GRANTABLE, **given: Any) -> Program:
    """A further key of a service account."""
    text = new_text()
    stored = ServiceKey(
        id=make.new_id(),
        user_id=user.id,
        name="Nightly feed",
        prefix=prefix_of(text),
        digest=digest_of(text),
        actions=tuple(sorted(map(Action, actions))),
        created_by=user.id,
        created_at=make.now,
        expires_at=make.now + timedelta(days=90),
        last_used_at=None,
        revoked_at=None,
        version=1,
    )
    stored = msgspec.structs.replace(stored, **given)
    await make.add(service_accounts.service_keys, stored)
    return Program(user, stored, text)


async def glass(make: Make, user: User, book: Book, **given: Any) -> GlassAccess:
    """Sight of a book by a glass that was broken a moment ago."""
    now = make.now
    made = GlassAccess(
        make.new_id(), user.id, book.id, "Their advisor is ill", now, now + timedelta(hours=1), ended_at=None, version=1
    )
    made = msgspec.structs.replace(made, **given)
    await make.add(break_glass.glass_accesses, made)
    return made
