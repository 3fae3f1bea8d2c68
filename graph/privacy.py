"""Personal data that is shown for a stated reason, and destroyed when its time is over."""

import strawberry
from strawberry import ID

from domain import clients, identity, privacy
from graph.clients import Client
from graph.context import Info
from graph.described import input_, type_
from graph.identity import User
from graph.ids import decode
from graph.inputs import into
from graph.mutations import Payload, mutation


@input_
class RevealTaxIdInput:
    """What shows a client's tax id in clear.

    client_id: The client.
    reason: Why it is needed, in 10 to 1,000 characters; it stands in the audit trail.
    """

    client_id: ID
    reason: str


@input_
class EraseClientInput:
    """What destroys the personal data of a former client.

    client_id: The client, which is archived.
    version: The version that was last seen.
    reason: Why, in 10 to 1,000 characters; it stays in the audit trail, so it names nobody.
    """

    client_id: ID
    version: int
    reason: str


@input_
class EraseUserInput:
    """What destroys the personal data of a former user.

    user_id: The user, who is disabled.
    version: The version that was last seen.
    reason: Why, in 10 to 1,000 characters; it stays in the audit trail, so it names nobody.
    """

    user_id: ID
    version: int
    reason: str


@type_
class RevealTaxIdPayload(Payload):
    """A client's tax id.

    tax_id: The tax id in clear; none if the client has none.
    """

    tax_id: str | None = None


@type_
class EraseClientPayload(Payload):
    """A client whose personal data was destroyed.

    client: The client as it is now.
    """

    client: clients.Client | None = strawberry.field(default=None, graphql_type=Client | None)


@type_
class EraseUserPayload(Payload):
    """A user whose personal data was destroyed.

    user: The user as it is now.
    """

    user: identity.User | None = strawberry.field(default=None, graphql_type=User | None)


@strawberry.type
class PrivacyMutations:
    """Mutations of personal data."""

    @mutation
    async def reveal_tax_id(self, info: Info, input: RevealTaxIdInput) -> RevealTaxIdPayload | None:
        """Read a client's tax id in clear, for a stated reason, shortly after having proved who one is."""
        client_id = decode(input.client_id, "client", "input.clientId")
        return RevealTaxIdPayload(tax_id=await info.context.write(privacy.reveal_tax_id, client_id, input.reason))

    @mutation
    async def erase_client(self, info: Info, input: EraseClientInput) -> EraseClientPayload | None:
        """Destroy the personal data of an archived client, of its parties and its sign-ins, for good; for admins.

        The ledger stays, without texts. Backups from before still hold what was erased.
        """
        client_id = decode(input.client_id, "client", "input.clientId")
        erasure = into(privacy.Erasure, input)
        years = info.context.services.retention_years
        return EraseClientPayload(client=await info.context.account(privacy.erase_client, years, client_id, erasure))

    @mutation
    async def erase_user(self, info: Info, input: EraseUserInput) -> EraseUserPayload | None:
        """Destroy the personal data of a disabled user, for good; for admins. What it did stays under its id."""
        user_id = decode(input.user_id, "user", "input.userId")
        return EraseUserPayload(
            user=await info.context.account(privacy.erase_user, user_id, into(privacy.Erasure, input))
        )
