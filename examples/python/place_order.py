"""A typed client in Python: a client's portfolios, then an order from preview to fill."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
from generated import Client, OrderEventsOrderEvents, PlaceOrderInput, PreviewOrderInput, Tokens
from generated.enums import OrderStatus, RefusalCode, Side
from websockets.exceptions import ConnectionClosed

URL = os.environ.get("STEWARD_URL", "http://127.0.0.1:8000/graphql")
PORTFOLIO = "portfolio_0176f0ac6a80710bbaba7f43d48973ea"
HDFC_BANK = "instrument_0176cab184007161b600b2c26f399d0f"
TOKEN_ENDED = 4403
FINAL = {OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED}
FORESEEN = {RefusalCode.INSUFFICIENT_CASH, RefusalCode.UNSUITABLE, RefusalCode.KYC_EXPIRED}


class Session(httpx.Auth):
    """The tokens of now, at first those of a session that was kept; an expired access token is renewed on the way."""

    def __init__(self) -> None:
        self.access = os.environ.get("STEWARD_ACCESS_TOKEN", "")
        self.refresh = os.environ.get("STEWARD_REFRESH_TOKEN", "")
        self.renewing = asyncio.Lock()

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send a request with the access token; if that has expired, once more with the next."""
        used = self.access
        request.headers["authorization"] = f"Bearer {used}"
        response = yield request
        await response.aread()
        if any(error["extensions"].get("reason") == "EXPIRED" for error in response.json().get("errors", ())):
            await self.renew(used)
            request.headers["authorization"] = f"Bearer {self.access}"
            yield request

    async def sign_in(self) -> None:
        """Begin a session, unless one was kept."""
        if self.refresh:
            return
        email = os.environ.get("STEWARD_EMAIL", "asha.mehta@steward.example")
        async with Client(URL) as anonymous:
            answer = await anonymous.sign_in(email, os.environ.get("STEWARD_PASSWORD", "steward-demo-2026"))
        tokens = self.keep(answer.session if answer else None)
        print(f"Signed in as {tokens.user.name}, {tokens.user.role.value}.")

    async def renew(self, used: str) -> None:
        """Exchange the refresh token: once for all who have found the same token expired, for it works once."""
        async with self.renewing, Client(URL) as anonymous:
            if self.access == used:
                answer = await anonymous.refresh_session(self.refresh)
                tokens = self.keep(answer.session if answer else None)
                print(f"The access token had expired; renewed the session of {tokens.user.name}.")

    def keep(self, tokens: Tokens | None) -> Tokens:
        """Go on with these tokens."""
        if tokens is None:
            raise RuntimeError("The server gave no session.")
        self.access, self.refresh = tokens.access_token, tokens.refresh_token
        return tokens


async def follow(client: Client, session: Session, portfolio: str) -> AsyncGenerator[OrderEventsOrderEvents, None]:
    """The changes of a portfolio's orders; where the socket was lost it goes on at the cursor, and misses nothing."""
    after: str | None = None
    while True:
        used = session.access
        client.ws_connection_init_payload = {"authorization": f"Bearer {used}"}
        try:
            async for event in client.order_events(portfolio, after):
                after = event.cursor
                yield event
        except ConnectionClosed as closed:
            if closed.rcvd and closed.rcvd.code == TOKEN_ENDED:
                await session.renew(used)
        except OSError as error:
            print(f"The server cannot be reached: {error}.")
        await asyncio.sleep(1)


async def show_clients(client: Client) -> None:
    """Show what the clients hold who are called so."""
    for each in (await client.clients("raj kum")).nodes:
        for portfolio in each.portfolios:
            print(f"{each.name}, {portfolio.name}:")
            for position in portfolio.positions.nodes:
                value = position.market_value.display if position.market_value else "without a price"
                print(f"  {position.quantity} {position.instrument.symbol}, {value}")


async def preview(client: Client, terms: PreviewOrderInput) -> bool:
    """Show what an order would come to; tells whether it would be accepted."""
    seen = await client.preview_order(terms)
    if seen is None:
        return False
    cost = seen.reserved.display if seen.reserved else "an unknown amount"
    verdict = "accepted" if seen.accepted else "not accepted"
    print(f"{terms.quantity} would cost {cost}, settled on {seen.settles_on}: {verdict}.")
    return seen.accepted


async def place(client: Client, terms: PreviewOrderInput, key: str) -> str | None:
    """Place an order. The key makes a repeat safe: the same order under the same key is placed once."""
    order = PlaceOrderInput(**terms.model_dump(exclude_unset=True), idempotencyKey=key)
    placed = await client.place_order(order)
    for refused in placed.user_errors if placed else ():
        if refused.code not in FORESEEN:
            raise RuntimeError(refused.message)
        print(f"Refused as {refused.code.value} at {'.'.join(refused.field)}: {refused.message}")
    if placed is None or placed.order is None:
        return None
    print(f"Placed {placed.order.id}.")
    return placed.order.id


async def main() -> bool:
    """See the clients, place an order, watch it fill; tells whether it did."""
    session = Session()
    await session.sign_in()
    # Any, for httpx annotates `post` otherwise than the generated protocol.
    http: Any = httpx.AsyncClient(auth=session)
    live = URL.replace("http", "ws", 1)
    async with Client(URL, http_client=http, ws_url=live) as client, asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        await show_clients(client)
        # The server tells of changes from when it was asked on, so it is asked before there is an order.
        events: asyncio.Queue[OrderEventsOrderEvents] = asyncio.Queue()
        watching = tasks.create_task(watch(client, session, events))
        much, some = Decimal(100000), Decimal(5)
        terms = PreviewOrderInput(portfolioId=PORTFOLIO, instrumentId=HDFC_BANK, side=Side.BUY, quantity=much)
        if not await preview(client, terms):
            await place(client, terms, str(uuid4()))
        order_id = await place(client, terms.model_copy(update={"quantity": some}), str(uuid4()))
        filled = order_id is not None and await until_final(events, order_id)
        watching.cancel()
    return filled


async def watch(client: Client, session: Session, events: asyncio.Queue[OrderEventsOrderEvents]) -> None:
    """Keep the events until somebody asks for them: some come before an order's id is known here."""
    async for event in follow(client, session, PORTFOLIO):
        events.put_nowait(event)


async def until_final(events: asyncio.Queue[OrderEventsOrderEvents], order_id: str) -> bool:
    """Show the events of one of the portfolio's orders until it is final; tells whether it was filled."""
    while True:
        event = await events.get()
        if event.order.id == order_id:
            price = event.order.average_price.display if event.order.average_price else "no price yet"
            at, filled = f"{event.occurred_at:%H:%M:%S}", event.order.filled_quantity
            print(f"{at} {event.status.value}: {filled} filled by now, at {price}")
            if event.status in FINAL:
                return event.status is OrderStatus.FILLED


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main()) else 1)
