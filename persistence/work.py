"""One transaction of a verb: its repositories, and all that goes out with it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from domain.access import NOBODY, Viewer
from domain.audit import Trace
from domain.entities import IdMaker
from domain.jobs import TOPIC, Job
from domain.notifications import Notice, Notification, user_stream
from persistence import audit, jobs
from persistence.announcements import Announcements
from persistence.books import Books
from persistence.break_glass import GlassAccesses
from persistence.clients import Clients
from persistence.conversations import Conversations, Messages, Runs
from persistence.database import Lent
from persistence.day_values import DayValues
from persistence.events import Event, Events
from persistence.households import Households
from persistence.identity import AttemptRows, Factors, Identities
from persistence.identity.accounts import Accounts
from persistence.instruments import Instruments, Quotes
from persistence.jobs import Enqueued, Jobs
from persistence.keyring import KeyRing
from persistence.kyc import Kyc
from persistence.markets import Markets
from persistence.notifications import Notifications, notifications
from persistence.orders import Orders
from persistence.portfolios import Portfolios
from persistence.positions import Cash, Positions
from persistence.privacy import Privacy
from persistence.providers import Providers
from persistence.receipts import Receipts
from persistence.repository import Change
from persistence.service_accounts import ServiceAccounts, ServiceKeys
from persistence.sql import Statement
from persistence.transactions import Transactions
from persistence.valuation import Valuations
from persistence.vault import Vault

# Until the end of the transaction at the latest, however that ends; gives who it was before.
ASK_AS: Final = Statement(
    "select current_setting('steward.user', true), set_config('steward.user', $1, true)", ("user_id",), {}
)


class Work:
    """What `domain.work.Work` states, on a lent connection within its transaction."""

    def __init__(self, lent: Lent, *, now: datetime, ids: IdMaker, ring: KeyRing) -> None:
        self.now = now
        self._lent = lent
        self._ids = ids
        self._changes: list[Change] = []
        self._notices: list[Notice] = []
        self._happened: list[Event] = []
        self._jobs: list[Enqueued] = []
        self._traces: list[Trace] = []
        self._reason: str | None = None
        self._actor: tuple[UUID, UUID | None] | None = None
        self.topics: set[str] = set()
        self.vault = Vault(lent, ring)
        self.accounts = Accounts(lent, self._changes)
        self.attempts = AttemptRows(lent, self._changes)
        self.announcements = Announcements(lent, self._changes)
        self.books = Books(lent, self._changes)
        self.cash = Cash(lent, self._changes)
        self.clients = Clients(lent, self._changes)
        self.conversations = Conversations(lent, self._changes)
        self.day_values = DayValues(lent, self._changes)
        self.factors = Factors(lent, self._changes)
        self.glass_accesses = GlassAccesses(lent, self._changes)
        self.households = Households(lent, self._changes)
        self.identities = Identities(lent, self._changes)
        self.instruments = Instruments(lent, self._changes)
        self.jobs = Jobs(lent, self._changes)
        self.markets = Markets(lent, self._changes)
        self.messages = Messages(lent, self._changes)
        self.kyc = Kyc(lent, self._changes)
        self.notifications = Notifications(lent, self._changes)
        self.orders = Orders(lent, self._changes)
        self.portfolios = Portfolios(lent, self._changes)
        self.positions = Positions(lent, self._changes)
        self.providers = Providers(lent, self._changes)
        self.privacy = Privacy(lent, self._changes)
        self.quotes = Quotes(lent, self._changes)
        self.receipts = Receipts(lent, self._changes)
        self.runs = Runs(lent, self._changes)
        self.service_accounts = ServiceAccounts(lent, self._changes)
        self.service_keys = ServiceKeys(lent, self._changes)
        self.transactions = Transactions(lent, self._changes)
        self.valuations = Valuations(lent, self._changes)

    @asynccontextmanager
    async def as_firm(self) -> AsyncIterator[None]:
        """Let the conversations of all be seen within, as the firm sees them; the trail still names who acts."""
        ((before, _),) = await self._lent.rows(ASK_AS, {"user_id": str(NOBODY)})
        yield
        # Whatever is raised within undoes the transaction, and this with it.
        await self._lent.rows(ASK_AS, {"user_id": before})

    def new_id(self) -> UUID:
        """An id for a new row."""
        return self._ids.make(self.now)

    def tell(self, notice: Notice) -> None:
        """Notify its recipients, as the transaction's last statement."""
        self._notices.append(notice)

    def append(self, stream: str, kind: str, entity_id: UUID, version: int, *, since: int | None = None) -> None:
        """Append an event to a stream of the event log, as the transaction's last statement."""
        self._happened.append(Event(stream, 0, kind, entity_id, version, self.now, since))

    def enqueue(self, job: Job, *ids: UUID, after: timedelta = timedelta(0), key: str | None = None) -> None:
        """Have a job run with these ids, some time after the transaction is committed; never, if it is not.

        One with a key is left out while another of the same key waits or runs.
        """
        self._jobs.append(Enqueued(job, ids, after, key))
        self.wake(TOPIC)

    def trace(self, trace: Trace) -> None:
        """Have the audit trail tell of something that changed no row."""
        self._traces.append(trace)

    def because(self, reason: str) -> None:
        """State the reason that all audit rows of the transaction carry."""
        self._reason = reason

    def acts_for(self, user_id: UUID, session_id: UUID | None = None) -> None:
        """Name the user who acts, where sign-in finds out only on the way."""
        self._actor = user_id, session_id

    def wake(self, topic: str) -> None:
        """Wake those who wait for the topic, once the transaction is committed."""
        self.topics.add(topic)

    async def finish(self, viewer: Viewer | None, request_id: str, action: str) -> None:
        """Write what goes out with the verb's own rows: audit trail, jobs, then the events, whose locks come last."""
        actor_id, session_id = self._actor or _actor_of(viewer)
        circumstances = audit.Circumstances(actor_id, session_id, request_id, action, self.now, self._reason)
        happened: list[Change | Trace] = [*self._changes, *self._traces]
        told = [(self.new_id(), each) for each in happened]
        await audit.write(self._lent, self.vault, circumstances, told)
        await jobs.enqueue(self._lent, self._jobs)
        await self._append_events(viewer)

    async def _append_events(self, viewer: Viewer | None) -> None:
        told = [(notification, self._event_of(notification)) for notification in self._addressed(viewer)]
        happened = [*((None, event) for event in self._happened), *told]
        if not happened:
            return
        log = Events(self._lent)
        last = dict(await log.reserve([event.stream for _, event in happened]))
        notices: list[Notification] = []
        events: list[Event] = []
        # Numbered from the last backwards, so that each stream's numbers end where its row says.
        for notification, event in reversed(happened):
            seq = last[event.stream]
            last[event.stream] -= 1
            if notification is not None:
                notices.append(msgspec.structs.replace(notification, seq=seq))
            events.append(msgspec.structs.replace(event, seq=seq))
            self.wake(event.stream)
        await log.insert_unaudited(notifications, notices)
        await log.append(events)

    def _event_of(self, notification: Notification) -> Event:
        stream = user_stream(notification.user_id)
        return Event(stream, 0, notification.kind, notification.id, 1, self.now)

    def _addressed(self, viewer: Viewer | None) -> Iterator[Notification]:
        """A notification for each recipient of each notice, not yet numbered."""
        for notice in self._notices:
            for user_id in sorted(notice.recipients):
                yield Notification(
                    id=self.new_id(),
                    user_id=user_id,
                    seq=0,
                    kind=notice.kind,
                    occurred_at=self.now,
                    actor_id=viewer.actor_id if viewer else None,
                    book_id=notice.book_id,
                    client_id=notice.client_id,
                    portfolio_id=notice.portfolio_id,
                    transaction_id=notice.transaction_id,
                    order_id=notice.order_id,
                    glass_access_id=notice.glass_access_id,
                    announcement_id=notice.announcement_id,
                    amount=notice.amount,
                    currency=notice.currency,
                    read_at=None,
                )


def _actor_of(viewer: Viewer | None) -> tuple[UUID | None, UUID | None]:
    """The user and the session that the audit trail names."""
    if viewer is None or viewer.is_system:
        return None, None
    return viewer.user_id, viewer.session_id
