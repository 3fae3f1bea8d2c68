"""What destroys personal data: vetted functions of the migration, and a few counts."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from asyncpg import LockNotAvailableError
from sqlalchemy import bindparam, func, select
from sqlalchemy.types import Uuid

from domain.errors import Unavailable
from domain.privacy import ERASED_NAME, Blanked
from persistence.clients import clients
from persistence.identity import users
from persistence.repository import Repository

# Any number that no other program takes; those beside it are of seals and of quotes.
ERASURES_LOCK: Final = 7_839_276
# They refuse unless the person's key is destroyed.
BLANK_CLIENT: Final = select(
    func.blank_client(bindparam("client_id", type_=Uuid), bindparam("name")).table_valued("orders", "portfolios")
)
BLANK_MESSAGES: Final = select(func.blank_messages(bindparam("client_id", type_=Uuid), bindparam("name")))
BLANK_ACCOUNT: Final = select(
    func.blank_account(bindparam("user_id", type_=Uuid)).table_valued("conversation", "run", "asker", name="gone")
)
USERS_OF: Final = select(users.c.id).where(users.c.client_id == bindparam("client_id", type_=Uuid)).order_by(users.c.id)
REMAINING: Final = (
    select(func.count()).select_from(clients).where(clients.c.household_id == bindparam("household_id", type_=Uuid))
)

PEOPLE_STAND: Final = select(func.pg_advisory_xact_lock_shared(ERASURES_LOCK))
PEOPLE_GO: Final = select(func.pg_advisory_xact_lock(ERASURES_LOCK))
# Everybody else waits behind whoever waits for it.
BRIEFLY: Final = select(func.set_config("lock_timeout", "3s", True))  # noqa: FBT003 - PostgreSQL's function
PATIENTLY: Final = select(func.set_config("lock_timeout", "0", True))  # noqa: FBT003 - as above


class Privacy(Repository):
    """Destroys what is left of a person once its key is gone; for whoever sees everything."""

    async def people_stand(self) -> None:
        """Have nobody erased until the transaction ends, which copies what it reads of people. Before locks of rows."""
        await self.lent.rows(PEOPLE_STAND, {})

    async def people_go(self) -> None:
        """Wait for all who copy what they read of people, and keep others from it. Before locks of rows.

        Raises Unavailable where that takes seconds.
        """
        await self.lent.rows(BRIEFLY, {})
        try:
            await self.lent.rows(PEOPLE_GO, {})
        except LockNotAvailableError as error:
            raise Unavailable("Answers about people are being written. Try again in a moment.") from error
        await self.lent.rows(PATIENTLY, {})

    async def blank_client(self, client_id: UUID) -> Blanked:
        """Take the texts out of a client's portfolios, orders and ledger, and out of what was said about it."""
        values = {"client_id": client_id, "name": ERASED_NAME}
        ((orders, portfolios),) = await self.lent.rows(BLANK_CLIENT, values)
        ((messages,),) = await self.lent.rows(BLANK_MESSAGES, values)
        return Blanked(orders, portfolios, messages)

    async def blank_account(self, user_id: UUID) -> dict[UUID, list[tuple[UUID, UUID]]]:
        """Remove all by which a user signs in, where it signed in from, and what an end client has talked of.

        Gives the conversations that are gone, each with its runs that had not ended, and whose they were.
        """
        gone: dict[UUID, list[tuple[UUID, UUID]]] = {}
        for conversation_id, run_id, asker_id in await self.lent.rows(BLANK_ACCOUNT, {"user_id": user_id}):
            gone.setdefault(conversation_id, []).extend([(run_id, asker_id)] if run_id else [])
        return gone

    async def users_of(self, client_id: UUID) -> Sequence[UUID]:
        """The sign-ins of an end client."""
        return [row[0] for row in await self.lent.rows(USERS_OF, {"client_id": client_id})]

    async def remaining(self, household_id: UUID) -> int:
        """How many clients belong to a household."""
        return int((await self.lent.rows(REMAINING, {"household_id": household_id}))[0][0])
