"""The demo firm: made by `steward demo`, or when a server in development finds its own database empty."""

from collections.abc import Sequence
from typing import Final

from domain.clock import system_clock
from domain.identity import Passwords
from graph.place import Place, database
from graph.settings import Settings
from persistence import demo
from persistence.setup import migrate

# Printed by `make serve` and offered by the page, in development alone: whoever loads the demo elsewhere says --yes.
DEMO_PASSWORD: Final = "steward-demo-2026"  # noqa: S105 - as above, meant to be read
DEMO_CLIENTS: Final = 600


async def demo_sign_ins(settings: Settings, place: Place) -> Sequence[demo.SignIn]:
    """Who may sign in to the demo, the firm made first if need be: only in development, on the embedded database."""
    if not (settings.development and settings.demo and settings.database_url is None):
        return []
    if await demo.is_empty(place.url):
        await _load(settings, place, DEMO_CLIENTS)
    return await demo.sign_ins(place.url)


async def load_demo(settings: Settings, clients: int) -> None:
    """Fill an empty database with the demo firm, and say how to get in."""
    async with database(settings) as place:
        await migrate(place.url)
        summary = await _load(settings, place, clients)
    counted = ", ".join(
        f"{summary.counts[name]:,} {name}" for name in ("users", "clients", "portfolios", "transactions")
    )
    print(f"The demo firm has {counted}.")  # noqa: T201 - a command's answer


async def _load(settings: Settings, place: Place, clients: int) -> demo.DemoSummary:
    key = settings.field_key_bytes(place.home)
    return await demo.load(
        place.url, clients=clients, field_key=key, passwords=Passwords(), now=system_clock(), password=DEMO_PASSWORD
    )
