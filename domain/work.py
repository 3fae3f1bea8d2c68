"""What a verb works with: one transaction's storage, clock and ways to tell."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

if TYPE_CHECKING:
    from domain.announcements import Announcements
    from domain.audit import Trace
    from domain.books import Books
    from domain.break_glass import GlassAccesses
    from domain.clients import Clients
    from domain.conversations.storage import Conversations, Messages, Runs
    from domain.households import Households
    from domain.identity import Identities
    from domain.identity.accounts import Accounts
    from domain.identity.attempts import AttemptRows
    from domain.identity.factors import Factors
    from domain.instruments import Instruments, Quotes
    from domain.jobs import Job, Jobs
    from domain.kyc import Kyc
    from domain.markets import Markets
    from domain.notifications import Notice, Notifications
    from domain.orders.storage import Orders
    from domain.portfolios import Portfolios
    from domain.positions import Cash, Positions
    from domain.privacy import Privacy
    from domain.providers import Providers
    from domain.receipts import Receipts
    from domain.service_accounts import ServiceAccounts, ServiceKeys
    from domain.transactions import Transactions
    from domain.valuation.days import DayValues, Valuations


class Vault(Protocol):
    """Encryption of personal fields, with a key for each person: destroying the key erases them all."""

    async def seal(self, person_id: UUID, text: str) -> bytes:
        """Encrypt for a person. Refuses: ERASED."""
        ...

    async def open(self, person_id: UUID, sealed: bytes) -> str:
        """Decrypt what was sealed for a person."""
        ...

    async def destroy(self, person_id: UUID, at: datetime) -> bool:
        """Destroy a person's key, for good and whether there was one or not; false if that was done before."""
        ...


class Work(Protocol):
    """One transaction: the repositories, the moment, and what goes out when it is committed.

    A verb never commits; the door that called it does, and retries the whole verb on a deadlock. Row locks are taken
    in one order: client, portfolio, order, cash, case, counters, streams.
    """

    @property
    def now(self) -> datetime:
        """The moment of the transaction, in UTC."""
        ...

    @property
    def accounts(self) -> "Accounts": ...  # noqa: D102 - the name says it, here and below
    @property
    def announcements(self) -> "Announcements": ...  # noqa: D102
    @property
    def attempts(self) -> "AttemptRows": ...  # noqa: D102
    @property
    def books(self) -> "Books": ...  # noqa: D102
    @property
    def cash(self) -> "Cash": ...  # noqa: D102
    @property
    def clients(self) -> "Clients": ...  # noqa: D102
    @property
    def conversations(self) -> "Conversations": ...  # noqa: D102
    @property
    def day_values(self) -> "DayValues": ...  # noqa: D102
    @property
    def factors(self) -> "Factors": ...  # noqa: D102
    @property
    def glass_accesses(self) -> "GlassAccesses": ...  # noqa: D102
    @property
    def households(self) -> "Households": ...  # noqa: D102
    @property
    def identities(self) -> "Identities": ...  # noqa: D102
    @property
    def instruments(self) -> "Instruments": ...  # noqa: D102
    @property
    def jobs(self) -> "Jobs": ...  # noqa: D102
    @property
    def messages(self) -> "Messages": ...  # noqa: D102
    @property
    def markets(self) -> "Markets": ...  # noqa: D102
    @property
    def kyc(self) -> "Kyc": ...  # noqa: D102
    @property
    def notifications(self) -> "Notifications": ...  # noqa: D102
    @property
    def orders(self) -> "Orders": ...  # noqa: D102
    @property
    def portfolios(self) -> "Portfolios": ...  # noqa: D102
    @property
    def positions(self) -> "Positions": ...  # noqa: D102
    @property
    def providers(self) -> "Providers": ...  # noqa: D102
    @property
    def privacy(self) -> "Privacy": ...  # noqa: D102
    @property
    def quotes(self) -> "Quotes": ...  # noqa: D102
    @property
    def runs(self) -> "Runs": ...  # noqa: D102
    @property
    def service_accounts(self) -> "ServiceAccounts": ...  # noqa: D102
    @property
    def service_keys(self) -> "ServiceKeys": ...  # noqa: D102
    @property
    def transactions(self) -> "Transactions": ...  # noqa: D102
    @property
    def valuations(self) -> "Valuations": ...  # noqa: D102
    @property
    def vault(self) -> Vault: ...  # noqa: D102
    @property
    def receipts(self) -> "Receipts": ...  # noqa: D102

    def as_firm(self) -> AbstractAsyncContextManager[None]:
        """Let the conversations of all be seen within, as the firm sees them; the trail still names who acts."""
        ...

    def new_id(self) -> UUID:
        """An id for a new row."""
        ...

    def tell(self, notice: "Notice") -> None:
        """Notify its recipients, as the transaction's last statement."""
        ...

    def append(self, stream: str, kind: str, entity_id: UUID, version: int, *, since: int | None = None) -> None:
        """Append an event to a stream of the event log, as the transaction's last statement.

        One that replaces others, which are gone, stands for all numbers from `since` on.
        """
        ...

    def enqueue(self, job: "Job", *ids: UUID, after: timedelta = timedelta(0), key: str | None = None) -> None:
        """Have a job run with these ids, some time after the transaction is committed; never, if it is not.

        One with a key is left out while another of the same key waits or runs.
        """
        ...

    def trace(self, trace: "Trace") -> None:
        """Have the audit trail tell of something that changed no row."""
        ...

    def because(self, reason: str) -> None:
        """State the reason that all audit rows of the transaction carry."""
        ...

    def acts_for(self, user_id: UUID, session_id: UUID | None = None) -> None:
        """Name the user who acts, where sign-in finds out only on the way."""
        ...

    def wake(self, topic: str) -> None:
        """Wake those who wait for the topic, in every process, once the transaction is committed."""
        ...
