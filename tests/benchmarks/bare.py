"""The verb that `placeOrder` calls, from a bare ASGI program: what an order costs without an API around it.

It reads the input that the API is sent, checks no token, and acts for the viewer that it has found once. Run as
`python -m tests.benchmarks.bare URL HOME PORT TOKEN`, with the server's own settings.
"""

import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from domain import orders
from domain.access import Viewer
from domain.orders import OrderKind, Side, Ticket
from graph.app import open_services
from graph.context import Services
from graph.server import lighten_collections
from graph.settings import load_settings
from persistence.identity import Identities


class Bare:
    """The program."""

    def __init__(self, services: Services, viewer: Viewer) -> None:
        self.services = services
        self.viewer = viewer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Place an order."""
        if scope["type"] != "http":
            return
        given = orjson.loads(await _body(receive))["variables"]["input"]
        services, viewer = self.services, self.viewer.changing
        order = await services.doors.write(
            viewer, "bare", orders.place, viewer, services.approval_limits, given["idempotencyKey"], _ticket(given)
        )
        shown = {"id": f"order_{order.id.hex}", "status": order.status, "version": order.version}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        answer = {"data": {"placeOrder": {"order": shown, "userErrors": []}}}
        await send({"type": "http.response.body", "body": orjson.dumps(answer)})


def _ticket(given: dict[str, Any]) -> Ticket:
    return Ticket(
        portfolio_id=UUID(hex=given["portfolioId"].rpartition("_")[2]),
        instrument_id=UUID(hex=given["instrumentId"].rpartition("_")[2]),
        side=Side(given["side"]),
        kind=OrderKind(given["kind"]),
        quantity=Decimal(given["quantity"]),
        limit_price=Decimal(given["limitPrice"]),
    )


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    return body


async def main(url: str, home: str, port: int, token: str) -> None:
    """Serve until it is ended."""
    async with open_services(load_settings(), url, Path(home)) as services:
        now = datetime.now(UTC)
        viewer = await services.doors.read(None, Identities.viewer, services.tokens.read(token, now).session_id, now)
        config = uvicorn.Config(
            Bare(services, viewer), host="127.0.0.1", port=port, log_level="warning", access_log=False
        )
        # As the server itself does.
        lighten_collections()
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    _, database, own_home, own_port, access = sys.argv
    uvloop.run(main(database, own_home, int(own_port), access))
