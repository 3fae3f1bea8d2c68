"""Service accounts of partners' programs, and their keys."""

from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import strawberry
from strawberry import ID

from domain import service_accounts
from domain.access import Action
from domain.identity import UserStatus
from domain.paging import Direction, Order
from graph.batching import batched
from graph.books import Membership
from graph.context import Info
from graph.described import enum, input_, type_
from graph.identity import User
from graph.ids import decode
from graph.inputs import into
from graph.lists import Connection, Lists, listed
from graph.mutations import Payload, mutation
from graph.nodes import Node
from persistence.books import Books
from persistence.identity import Identities
from persistence.service_accounts import ServiceAccounts, ServiceKeys


@enum
class ServiceKeyOrderField(StrEnum):
    """What keys can be ordered by.

    CREATED_AT: When they were made.
    """

    CREATED_AT = "CREATED_AT"


@input_
class ServiceKeyOrder:
    """What a list of keys is ordered by.

    field: What to order by.
    direction: Which way the list runs.
    """

    field: ServiceKeyOrderField
    direction: Direction = Direction.DESC


@enum
class ServiceAccountOrderField(StrEnum):
    """What service accounts can be ordered by.

    NAME: Their names, case and accents aside.
    CREATED_AT: When they were made.
    """

    NAME = "NAME"
    CREATED_AT = "CREATED_AT"


@input_
class ServiceAccountOrder:
    """What a list of service accounts is ordered by.

    field: What to order by.
    direction: Which way the list runs.
    """

    field: ServiceAccountOrderField
    direction: Direction = Direction.ASC


@input_
class ServiceAccountFilter:
    """Which service accounts a list holds.

    statuses: Accounts in one of these states.
    """

    statuses: list[UserStatus] | None = None


KEYS = Lists(ServiceKeyOrder, Order("CREATED_AT", Direction.DESC), service_accounts.ServiceKeyFilter)
ACCOUNTS = Lists(ServiceAccountOrder, Order("NAME"), service_accounts.ServiceAccountFilter, ServiceAccountFilter)


@type_
class ServiceKey(Node):
    """A key of a service account. The key itself is shown once, when it is made.

    name: What the key is called.
    prefix: The eight characters of the key that it is told apart by, after `stw_`.
    actions: What the key allows; none for one that only reads.
    created_at: When the key was made.
    expires_at: When the key ends by itself.
    last_used_at: When the key was last used, to the minute; none if it never was.
    revoked_at: When the key was revoked; none unless it was.
    version: Rises with each change.
    """

    entity = service_accounts.ServiceKey

    name: str
    prefix: str
    actions: list[Action]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    version: int
    account: Annotated["ServiceAccount", strawberry.lazy("graph.service_accounts")] = batched(
        ServiceAccounts.by_ids, key="user_id", by="id", description="The service account that acts by the key."
    )
    creator: User = batched(Identities.by_ids, key="created_by", by="id", description="Whoever made the key.")


@type_
class ServiceAccount(Node):
    """A partner's program. It has no password: it acts by its keys, on the books that it is a member of.

    name: What the program is called.
    email: The address of whoever answers for the program; it signs nobody in.
    status: Whether its keys open anything.
    created_at: When the account was made.
    version: Rises with each change.
    """

    entity = service_accounts.ServiceAccount

    name: str
    email: str
    status: UserStatus
    created_at: datetime
    version: int
    user: User = batched(
        Identities.by_ids, key="id", by="id", description="The user that the program is in the eyes of others."
    )
    memberships: list[Membership] = batched(
        Books.memberships_of_users,
        key="id",
        by="user_id",
        description="The account's memberships of books, past and future ones too, oldest first; a handful.",
        size=5,
    )
    keys: Connection[ServiceKey] = batched(
        ServiceKeys.pages,
        key="id",
        by="parent",
        count=ServiceKeys.counts,
        lists=KEYS,
        description="The account's keys, those that have ended too, the latest first.",
    )


@input_
class CreateServiceAccountInput:
    """What makes a service account.

    name: What the program is called.
    email: The address of whoever answers for the program; no user may have it already.
    book_ids: Books that the account becomes a member of, as an assistant, from today on; at most 100. `addMember`
    adds others.
    """

    name: str
    email: str
    book_ids: list[ID] | None = None


@input_
class CreateServiceKeyInput:
    """What makes a key.

    service_account_id: The account that acts by the key.
    name: What the key is called.
    actions: What the key allows besides reading; only what a partner's program may do at all.
    expires_on: The key's last day, in the viewer's time zone; a year from today at the latest.
    """

    service_account_id: ID
    name: str
    actions: list[Action]
    expires_on: date


@input_
class RotateServiceKeyInput:
    """What makes a key's successor.

    service_key_id: The key that is replaced.
    overlap_hours: For how many hours the old key goes on beside the new one; 720 at most, 0 ends it at once.
    """

    service_key_id: ID
    overlap_hours: int = 24


@input_
class RevokeServiceKeyInput:
    """What ends a key.

    service_key_id: The key.
    """

    service_key_id: ID


@input_
class DisableServiceAccountInput:
    """What disables a service account.

    service_account_id: The account.
    """

    service_account_id: ID


@type_
class ServiceAccountPayload(Payload):
    """A service account that was made or changed.

    service_account: The account as it is now.
    """

    service_account: service_accounts.ServiceAccount | None = strawberry.field(
        default=None, graphql_type=ServiceAccount | None
    )


@type_
class MadeServiceKeyPayload(Payload):
    """A key that was made.

    service_key: The key.
    key: The key itself, sent as `Authorization: Bearer stw_…`. It is shown here once, and stored nowhere.
    """

    service_key: service_accounts.ServiceKey | None = strawberry.field(default=None, graphql_type=ServiceKey | None)
    key: str | None = None


@type_
class ServiceKeyPayload(Payload):
    """A key that was ended.

    service_key: The key as it is now.
    """

    service_key: service_accounts.ServiceKey | None = strawberry.field(default=None, graphql_type=ServiceKey | None)


@strawberry.type
class ServiceAccountQueries:
    """Queries of service accounts."""

    service_accounts: Connection[ServiceAccount] = listed(
        ServiceAccounts.page,
        ServiceAccounts.count,
        ACCOUNTS,
        "The service accounts of partners' programs; those who do not see everything see none.",
    )


@strawberry.type
class ServiceAccountMutations:
    """Mutations of service accounts, for admins who have proved a short while ago who they are."""

    @mutation
    async def create_service_account(
        self, info: Info, input: CreateServiceAccountInput
    ) -> ServiceAccountPayload | None:
        """Make a service account for a partner's program, without any key."""
        new = into(service_accounts.NewServiceAccount, input)
        return ServiceAccountPayload(service_account=await info.context.account(service_accounts.create_account, new))

    @mutation
    async def create_service_key(self, info: Info, input: CreateServiceKeyInput) -> MadeServiceKeyPayload | None:
        """Make a key for a service account. The payload shows it this once."""
        new = into(service_accounts.NewServiceKey, input)
        made = await info.context.account(service_accounts.create_key, new)
        return MadeServiceKeyPayload(service_key=made.key, key=made.text)

    @mutation
    async def rotate_service_key(self, info: Info, input: RotateServiceKeyInput) -> MadeServiceKeyPayload | None:
        """Make a key that allows the same for as long, and have the old one end after an overlap."""
        key_id = decode(input.service_key_id, "service_key", "input.serviceKeyId")
        overlap = timedelta(hours=input.overlap_hours)
        made = await info.context.account(service_accounts.rotate_key, key_id, overlap)
        return MadeServiceKeyPayload(service_key=made.key, key=made.text)

    @mutation
    async def revoke_service_key(self, info: Info, input: RevokeServiceKeyInput) -> ServiceKeyPayload | None:
        """End a key at once, on its open sockets too."""
        key_id = decode(input.service_key_id, "service_key", "input.serviceKeyId")
        return ServiceKeyPayload(service_key=await info.context.account(service_accounts.revoke_key, key_id))

    @mutation
    async def disable_service_account(
        self, info: Info, input: DisableServiceAccountInput
    ) -> ServiceAccountPayload | None:
        """Disable a service account for good, and end all its keys at once."""
        account_id = decode(input.service_account_id, "service_account", "input.serviceAccountId")
        disabled = await info.context.account(service_accounts.disable_account, account_id)
        return ServiceAccountPayload(service_account=disabled)
