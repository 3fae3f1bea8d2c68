"""One transaction of a verb: its repositories, and all that goes out with it."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

import msgspec

from domain.access import Viewer
from domain.entities import IdMaker
from domain.notifications import Notice, Notification, user_stream
from persistence import audit
from persistence.books import Books
from persistence.clients import Clients
from persistence.database import Lent
from persistence.events import Event, Events
from persistence.households import Households
from persistence.identity import Identities
from persistence.instruments import Instruments
from persistence.notifications import Notifications, notifications
from persistence.portfolios import Portfolios
from persistence.positions import Cash, Positions
from persistence.receipts import Receipts
from persistence.repository import Change
from persistence.transactions import Transactions
from persistence.vault import Vault


class Work:
    """What `domain.work.Work` states, on a lent connection within its transaction."""

    def __init__(self, lent: Lent, *, now: datetime, ids: IdMaker, field_key: bytes) -> None:
        self.now = now
        self._lent = lent
        self._ids = ids
        self._changes: list[Change] = []
        self._notices: list[Notice] = []
        self.topics: set[str] = set()
        self.vault = Vault(lent, field_key)
        self.books = Books(lent, self._changes)
        self.cash = Cash(lent, self._changes)
        self.clients = Clients(lent, self._changes)
        self.households = Households(lent, self._changes)
        self.identities = Identities(lent, self._changes)
        self.instruments = Instruments(lent, self._changes)
        self.notifications = Notifications(lent, self._changes)
        self.portfolios = Portfolios(lent, self._changes)
        self.positions = Positions(lent, self._changes)
        self.receipts = Receipts(lent, self._changes)
        self.transactions = Transactions(lent, self._changes)

    def new_id(self) -> UUID:
        """An id for a new row."""
        return self._ids.make(self.now)

    def tell(self, notice: Notice) -> None:
        """Notify its recipients, as the transaction's last statement."""
        self._notices.append(notice)

    def wake(self, topic: str) -> None:
        """Wake those who wait for the topic, once the transaction is committed."""
        self.topics.add(topic)

    async def finish(self, viewer: Viewer | None, request_id: str, action: str) -> None:
        """Write what goes out with the verb's own rows: the audit trail, then the events, whose locks come last."""
        circumstances = audit.Circumstances(
            actor_id=viewer.user_id if viewer else None,
            session_id=viewer.session_id if viewer else None,
            request_id=request_id,
            action=action,
            occurred_at=self.now,
        )
        changes = [(self.new_id(), change) for change in self._changes]
        await audit.write(self._lent, self.vault, circumstances, changes)
        await self._append_events(viewer)

    async def _append_events(self, viewer: Viewer | None) -> None:
        told = list(self._addressed(viewer))
        if not told:
            return
        log = Events(self._lent)
        streams = [user_stream(notification.user_id) for notification in told]
        last = dict(await log.reserve(streams))
        # Numbered from the last backwards, so that each stream's numbers end where its row says.
        for notification, stream in reversed(list(zip(told, streams, strict=True))):
            seq = last[stream]
            last[stream] -= 1
            await self._lent_insert(msgspec.structs.replace(notification, seq=seq))
            await log.append(Event(stream, seq, notification.kind, notification.id, 1, self.now))
            self.wake(stream)

    async def _lent_insert(self, notification: Notification) -> None:
        # Not through the audited way: a notification tells of a change that has its own audit row.
        await Notifications(self._lent, []).insert(notifications, notification)

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
                    actor_id=viewer.user_id if viewer else None,
                    book_id=notice.book_id,
                    client_id=notice.client_id,
                    portfolio_id=notice.portfolio_id,
                    transaction_id=notice.transaction_id,
                    amount=notice.amount,
                    currency=notice.currency,
                    read_at=None,
                )
