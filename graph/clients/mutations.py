"""Changes of clients."""

from datetime import date
from decimal import Decimal

import strawberry
from strawberry import ID, UNSET

from domain import clients
from domain.clients import Channel, ClientKind, ClientStatus, KycStatus, RiskProfile, Segment
from domain.parties import PartyRole
from graph.clients.types import Client
from graph.context import Info
from graph.described import input_, type_
from graph.ids import decode, encode
from graph.inputs import into
from graph.mutations import Payload, mutation


@input_
class PartyInput:
    """A person behind a client.

    role: What the person is to the client.
    name: The person's full name.
    date_of_birth: The person's date of birth.
    relationship: How the person is related to the client, in words.
    share: The person's share in percent; the nominees' add up to 100.
    """

    role: PartyRole
    name: str
    date_of_birth: date | None = None
    relationship: str | None = None
    share: Decimal | None = None


@input_
class ClientDetailsInput:
    """What can be said of a client; what is left out stays as it is.

    name: The client's full name.
    email: The client's e-mail address.
    phone: The client's telephone number.
    date_of_birth: The client's date of birth.
    household_id: The household that the client belongs to.
    segment: How the firm serves the client.
    status: Where the client stands with the firm.
    risk_profile: How much risk the client is ready and able to bear.
    kyc_status: Whether the client is known to the firm as the law demands.
    kyc_expires_on: The day on which that verification runs out.
    tags: Words to tag the client with.
    tax_id: The tax id, of 5 to 20 letters and digits; it is stored encrypted.
    parties: The persons behind the client, instead of those there are.
    notes: What the client's advisors note.
    channel: How the client wants to be reached.
    language: The language of letters, by its code of ISO 639.
    do_not_disturb: Whether the client wants no calls or messages of the firm's own accord.
    """

    name: str | None = UNSET
    email: str | None = UNSET
    phone: str | None = UNSET
    date_of_birth: date | None = UNSET
    household_id: ID | None = UNSET
    segment: Segment | None = UNSET
    status: ClientStatus | None = UNSET
    risk_profile: RiskProfile | None = UNSET
    kyc_status: KycStatus | None = UNSET
    kyc_expires_on: date | None = UNSET
    tags: list[str] | None = UNSET
    tax_id: str | None = UNSET
    parties: list[PartyInput] | None = UNSET
    notes: str | None = UNSET
    channel: Channel | None = UNSET
    language: str | None = UNSET
    do_not_disturb: bool | None = UNSET


@input_
class CreateClientInput:
    """What takes on a client.

    book_id: The book that the client goes into.
    kind: What the client is in law.
    details: All else; the name is needed.
    currency: The currency that the client's totals are stated in.
    """

    book_id: ID
    kind: ClientKind
    details: ClientDetailsInput
    currency: str = "INR"


@input_
class UpdateClientInput:
    """What changes a client.

    client_id: The client.
    version: The version that the change was made from.
    details: What changes.
    """

    client_id: ID
    version: int
    details: ClientDetailsInput


@input_
class ArchiveClientInput:
    """What archives a client.

    client_id: The client.
    version: The version that was last seen.
    """

    client_id: ID
    version: int


@input_
class DeleteClientInput:
    """What deletes a client.

    client_id: The client, which has no portfolio.
    """

    client_id: ID


@input_
class MoveClientInput:
    """What moves a client to another book.

    client_id: The client.
    book_id: The book to move it to.
    version: The version that was last seen.
    """

    client_id: ID
    book_id: ID
    version: int


@type_
class ClientPayload(Payload):
    """A client that was changed.

    client: The client as it is now.
    """

    client: clients.Client | None = strawberry.field(default=None, graphql_type=Client | None)


@type_
class DeleteClientPayload(Payload):
    """A client that was deleted.

    deleted_id: The id that the client had.
    """

    deleted_id: ID | None = None


def _details(given: ClientDetailsInput) -> clients.Details:
    return into(clients.Details, given, "input.details")


def _extras(given: ClientDetailsInput) -> clients.Extras:
    return into(clients.Extras, given, "input.details")


@strawberry.type
class ClientMutations:
    """Mutations of clients."""

    @mutation
    async def create_client(self, info: Info, input: CreateClientInput) -> ClientPayload | None:
        """Take on a client in a book that the viewer sees."""
        new = into(clients.NewClient, input, details=_details(input.details), extras=_extras(input.details))
        return ClientPayload(client=await info.context.write(clients.create, new))

    @mutation
    async def update_client(self, info: Info, input: UpdateClientInput) -> ClientPayload | None:
        """Change a client. Two edits of one version: one wins, the other gets STALE_VERSION."""
        change = into(clients.ClientChange, input, details=_details(input.details), extras=_extras(input.details))
        return ClientPayload(client=await info.context.write(clients.update, change))

    @mutation
    async def archive_client(self, info: Info, input: ArchiveClientInput) -> ClientPayload | None:
        """Archive a client, whose history stays; it takes no further changes."""
        client_id = decode(input.client_id, "client", "input.clientId")
        return ClientPayload(client=await info.context.write(clients.archive, client_id, input.version))

    @mutation
    async def delete_client(self, info: Info, input: DeleteClientInput) -> DeleteClientPayload | None:
        """Delete a client that has no portfolio."""
        client_id = decode(input.client_id, "client", "input.clientId")
        deleted = await info.context.write(clients.delete, client_id)
        return DeleteClientPayload(deleted_id=ID(encode("client", deleted)))

    @mutation
    async def move_client(self, info: Info, input: MoveClientInput) -> ClientPayload | None:
        """Move a client, with all it has, to another book; for supervisors and up."""
        client_id = decode(input.client_id, "client", "input.clientId")
        book_id = decode(input.book_id, "book", "input.bookId")
        return ClientPayload(client=await info.context.write(clients.move, client_id, book_id, input.version))
