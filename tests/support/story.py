"""One of each mutation, done with success: what its input is, after all that must come before it."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from domain.access import Role
from graph.ids import id_of
from tests.factories import jobs, trading
from tests.factories.firm import PASSWORD, Make, SignedIn
from tests.support.gql import Gql

DETAILS: Final = {
    "name": "Zyxwvut Qponm",
    "email": "zyxwvut@example.org",
    "phone": "+91 98123-45678",
    "dateOfBirth": "1977-07-07",
    "tags": ["zirconium"],
    "taxId": "ZYXWV1234Q",
    "notes": "Likes zebras.",
    "parties": [{"role": "NOMINEE", "name": "Wvutsr", "relationship": "nephew", "share": "100"}],
}


class Story:
    """One of each mutation, done by an admin; a scene gives the input, from what came before it."""

    def __init__(self, make: Make, gql: Gql, admin: SignedIn) -> None:
        self.make = make
        self.gql = gql
        self.admin = admin
        self.secrets: list[str] = [PASSWORD]

    async def _client(self, **given: Any) -> str:
        return id_of(await self.make.client(await self.make.book(), name="Zyxwvut", **given))

    async def sign_in(self) -> dict[str, Any]:
        return {"email": self.admin.user.email, "password": PASSWORD}

    async def refresh_session(self) -> dict[str, Any]:
        payload = await self.gql.change("signIn", "session { refreshToken }", **await self.sign_in())
        self.secrets.append(payload["session"]["refreshToken"])
        return {"refreshToken": payload["session"]["refreshToken"]}

    async def sign_out(self) -> dict[str, Any]:
        self.gql = self.gql.as_(await self.make.session(self.admin.user))
        return {}

    async def open_book(self) -> dict[str, Any]:
        return {"name": "Zero", "teamId": id_of(await self.make.team())}

    async def add_member(self) -> dict[str, Any]:
        user = await self.make.user(Role.ADVISOR, name="Zyxwvut")
        return {"bookId": id_of(await self.make.book()), "userId": user.id, "kind": "STAND_IN"}

    async def end_membership(self) -> dict[str, Any]:
        book = await self.make.book()
        user = await self.make.user(Role.ADVISOR)
        return {"membershipId": id_of(await self.make.membership(book, user.user))}

    async def create_client(self) -> dict[str, Any]:
        return {"bookId": id_of(await self.make.book()), "kind": "INDIVIDUAL", "details": DETAILS}

    async def update_client(self) -> dict[str, Any]:
        return {"clientId": await self._client(), "version": 1, "details": DETAILS}

    async def archive_client(self) -> dict[str, Any]:
        return {"clientId": await self._client(), "version": 1}

    async def delete_client(self) -> dict[str, Any]:
        return {"clientId": await self._client()}

    async def move_client(self) -> dict[str, Any]:
        return {"clientId": await self._client(), "version": 1, "bookId": id_of(await self.make.book())}

    async def create_household(self) -> dict[str, Any]:
        return {"bookId": id_of(await self.make.book()), "name": "Zyxwvut"}

    async def rename_household(self) -> dict[str, Any]:
        payload = await self.gql.change("createHousehold", "household { id }", **await self.create_household())
        return {"householdId": payload["household"]["id"], "version": 1, "name": "Qponm"}

    async def open_portfolio(self) -> dict[str, Any]:
        return {"clientId": await self._client(), "name": "Zyxwvut for ever", "openedOn": "2024-01-01"}

    async def _portfolio(self) -> str:
        payload = await self.gql.change("openPortfolio", "portfolio { id }", **await self.open_portfolio())
        return str(payload["portfolio"]["id"])

    async def update_portfolio(self) -> dict[str, Any]:
        return {"portfolioId": await self._portfolio(), "version": 1, "name": "Qponm for ever"}

    async def record_transaction(self) -> dict[str, Any]:
        return {
            "portfolioId": await self._portfolio(),
            "kind": "DEPOSIT",
            "currency": "INR",
            "tradedOn": "2024-01-01",
            "amount": "50000000",
            "idempotencyKey": f"key {next(self.make.numbers)}",
        }

    async def _transaction(self) -> str:
        payload = await self.gql.change("recordTransaction", "transaction { id }", **await self.record_transaction())
        return str(payload["transaction"]["id"])

    async def reverse_transaction(self) -> dict[str, Any]:
        key = f"key {next(self.make.numbers)}"
        return {"transactionId": await self._transaction(), "reason": "It was another's.", "idempotencyKey": key}

    async def place_order(self) -> dict[str, Any]:
        made = await trading.desk(self.make, self.gql.as_(self.admin))
        return {
            "portfolioId": id_of(made.portfolio),
            "instrumentId": id_of(made.share),
            "side": "BUY",
            "quantity": "10",
            "idempotencyKey": f"key {next(self.make.numbers)}",
        }

    async def draft_order(self) -> dict[str, Any]:
        return await self.place_order()

    async def _order(self, mutation: str = "placeOrder", **given: Any) -> dict[str, Any]:
        payload = await self.gql.change(mutation, "order { id version }", **await self.place_order(), **given)
        return {"orderId": payload["order"]["id"], "version": payload["order"]["version"]}

    async def submit_order(self) -> dict[str, Any]:
        return await self._order("draftOrder")

    async def amend_order(self) -> dict[str, Any]:
        return {**await self._order(), "quantity": "11"}

    async def cancel_order(self) -> dict[str, Any]:
        return {"orderId": (await self._order("draftOrder"))["orderId"]}

    async def approve_order(self) -> dict[str, Any]:
        made = await trading.desk(self.make, self.gql, cash="9000000")
        placed = (await made.place(quantity="30000"))["order"]
        return {"orderId": placed["id"], "version": placed["version"]}

    async def decline_order(self) -> dict[str, Any]:
        return {"orderId": (await self.approve_order())["orderId"], "reason": "Zyxwvut has changed its mind."}

    async def set_market_day(self) -> dict[str, Any]:
        return {"exchange": "XNSE", "day": "2026-01-26", "note": "Closed"}

    async def clear_market_day(self) -> dict[str, Any]:
        await self.gql.change("setMarketDay", "specialDay { day }", **await self.set_market_day())
        return {"exchange": "XNSE", "day": "2026-01-26"}

    async def mark_notifications_read(self) -> dict[str, Any]:
        await self._transaction()
        found = await self.gql.run("{ notifications(first: 1) { nodes { id } } }")
        return {"notificationIds": [found["notifications"]["nodes"][0]["id"]]}

    async def mark_all_notifications_read(self) -> dict[str, Any]:
        await self._transaction()
        return {}

    async def retry_job(self) -> dict[str, Any]:
        return {"jobId": id_of(await jobs.dead(self.make))}

    def scene(self, mutation: str) -> Callable[[], Awaitable[dict[str, Any]]]:
        """What makes the input of a mutation."""
        name = re.sub(r"[A-Z]", lambda capital: f"_{capital[0].lower()}", mutation)
        scene: Callable[[], Awaitable[dict[str, Any]]] = getattr(self, name)
        return scene
