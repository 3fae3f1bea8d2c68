"""What arguments speak of: clients, portfolios and instruments, by their ids or by words, as far as the viewer sees."""

from collections.abc import Sequence
from typing import Annotated, Final, TypeAlias
from uuid import UUID

import msgspec

from domain.access import Viewer
from domain.assistant.models import Focus
from domain.assistant.tools import ToolFailed
from domain.assistant.tools.facts import MOST_COUNTED, Whose, focus_on, named, ref
from domain.clients import Client, ClientFilter
from domain.errors import NotFound
from domain.instruments import Instrument, InstrumentFilter
from domain.paging import Order, Page, PageRequest
from domain.portfolios import Portfolio
from domain.refs import Ref
from domain.text import fold, words
from domain.valuation import Owner
from domain.work import Work

MOST_CANDIDATES: Final = 10
LONGEST_TEXT: Final = 200

Text: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_TEXT)]
OfWhom: TypeAlias = Annotated[
    Text | None,
    msgspec.Meta(
        description="Whose: the id of a client (client_...) or of a portfolio (portfolio_...), or words of the name of "
        "exactly one client. Leave it out only for the user's own."
    ),
]


class Subject(msgspec.Struct, frozen=True):
    """Whose data is looked up: a client's, or that of one of its portfolios alone."""

    client: Client
    portfolio: Portfolio | None = None

    @property
    def owner(self) -> Owner:
        """What is valued."""
        return Owner.PORTFOLIO if self.portfolio else Owner.CLIENT

    @property
    def key(self) -> UUID:
        """The id of what is valued."""
        return (self.portfolio or self.client).id

    @property
    def whose(self) -> Whose:
        """The same for models."""
        return Whose(named("client", self.client), named("portfolio", self.portfolio) if self.portfolio else None)

    @property
    def clients(self) -> frozenset[UUID]:
        """The client, whose data whatever is found is."""
        return frozenset({self.client.id})

    @property
    def focus(self) -> tuple[Focus, ...]:
        """What is spoken of, the more particular first."""
        of_client = focus_on("client", self.client)
        return (focus_on("portfolio", self.portfolio), of_client) if self.portfolio else (of_client,)

    async def portfolios(self, work: Work, viewer: Viewer) -> Sequence[Portfolio]:
        """The portfolios that are meant."""
        return [self.portfolio] if self.portfolio else await work.portfolios.of_clients(viewer, [self.client.id])


async def subject(work: Work, viewer: Viewer, text: str | None) -> Subject:
    """Whom a text speaks of; without one, the client who asks. Raises ToolFailed."""
    if text is None:
        return Subject(await _own(work, viewer))
    found = _ref(text)
    if found is None:
        return Subject(await _client_by_words(work, viewer, text))
    try:
        if found.kind == "client":
            return Subject(await work.clients.one(viewer, found.id))
        if found.kind == "portfolio":
            portfolio = await work.portfolios.one(viewer, found.id)
            return Subject(await work.clients.one(viewer, portfolio.client_id), portfolio)
    except NotFound as error:
        raise ToolFailed(f"There is no such {found.kind}.") from error
    raise ToolFailed("This id is that of something else: give that of a client or of a portfolio.")


async def clients_by_words(work: Work, viewer: Viewer, text: str) -> Page[Client]:
    """The first clients whose words begin with these, by name. Raises ToolFailed."""
    if not words(text):
        raise ToolFailed("Give at least one word of the client's name.")
    request = PageRequest(Order("NAME"), ClientFilter(text=text), first=MOST_COUNTED)
    return await work.clients.page(viewer, request)


async def instrument(work: Work, viewer: Viewer, text: str) -> Instrument:
    """The one instrument that a text speaks of. Raises ToolFailed."""
    found = _ref(text)
    if found is None:
        return await _instrument_by_words(work, viewer, text)
    if found.kind != "instrument":
        raise ToolFailed("This id is that of something else: give that of an instrument.")
    try:
        return await work.instruments.one(viewer, found.id)
    except NotFound as error:
        raise ToolFailed("There is no such instrument.") from error


def in_words(text: str | None) -> str:
    """What is meant, to be told to people: nothing where it is said by an id."""
    return f" of {text}" if text is not None and _ref(text) is None else ""


def _ref(text: str) -> Ref | None:
    try:
        return Ref.read(text)
    except ValueError:
        return None


async def _own(work: Work, viewer: Viewer) -> Client:
    """The only client whom an end client sees: staff have no wealth of their own here."""
    own = await work.clients.by_ids(viewer, viewer.client_ids)
    if len(own) == 1:
        return own[0]
    if own:
        raise _several("There are several of you", sorted(own, key=_by_name))
    raise ToolFailed("Say whose it is: give a client or a portfolio.")


async def _client_by_words(work: Work, viewer: Viewer, text: str) -> Client:
    page = await clients_by_words(work, viewer, text)
    found = page.rows
    # Otherwise nobody could be named whose name begins that of another.
    alike = [each for each in found if each.sort_name == fold(text)]
    if len(found) == 1 or len(alike) == 1:
        return (alike or list(found))[0]
    if not found:
        raise ToolFailed(f"There is no client called “{text}” among those that the user sees.")
    raise _several(f"Several clients fit “{text}”", found, more=page.has_next)


def _several(what: str, found: Sequence[Client], *, more: bool = False) -> ToolFailed:
    """Whom a text may mean; those that are only counted are told of too."""
    listed = "; ".join(f"{each.name} ({ref('client', each.id)})" for each in found[:MOST_CANDIDATES])
    rest = f"; and {'over ' if more else ''}{len(found) - MOST_CANDIDATES} more" if found[MOST_CANDIDATES:] else ""
    return ToolFailed(f"{what}: {listed}{rest}. Say which one.", frozenset(each.id for each in found))


def _by_name(client: Client) -> tuple[str, UUID]:
    return client.sort_name, client.id


async def _instrument_by_words(work: Work, viewer: Viewer, text: str) -> Instrument:
    if not words(text):
        raise ToolFailed("Give the symbol, the ISIN or words of the name of an instrument.")
    request = PageRequest(Order("SYMBOL"), InstrumentFilter(text=text), first=MOST_COUNTED)
    found = (await work.instruments.page(viewer, request)).rows
    alike = [each for each in found if fold(text) in {fold(each.symbol), fold(each.isin), each.sort_name}]
    if len(found) == 1 or len(alike) == 1:
        return (alike or list(found))[0]
    if not found:
        raise ToolFailed(f"There is no instrument called “{text}”.")
    listed = "; ".join(f"{each.symbol} ({each.name})" for each in found[:MOST_CANDIDATES])
    more = "; and more" if len(found) > MOST_CANDIDATES else ""
    raise ToolFailed(f"Several instruments fit “{text}”: {listed}{more}. Say which one.")
