"""One of each mutation, done with success: what its input is, after all that must come before it."""

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from domain.access import Role
from domain.identity import UserStatus
from domain.identity.links import LinkKind
from domain.providers.entering import LINK_AUDIENCE, LINK_TIME
from graph.ids import id_of
from tests.factories import jobs, partners, trading
from tests.factories.factors import Authenticator, enrolled
from tests.factories.firm import PASSWORD, Make, SignedIn
from tests.support.flows import journey
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

    def _act(self, user: SignedIn) -> None:
        """Go on as somebody else."""
        self.admin, self.gql = user, self.gql.as_(user)

    async def sign_out(self) -> dict[str, Any]:
        self._act(await self.make.session(self.admin.user))
        return {}

    async def revoke_session(self) -> dict[str, Any]:
        return {"sessionId": id_of((await self.make.session(self.admin.user)).session)}

    async def revoke_other_sessions(self) -> dict[str, Any]:
        # Of a user of its own, for the others of the admin are other tests'.
        self._act(await self.make.user(Role.ADMIN))
        await self.make.session(self.admin.user)
        return {}

    async def reauthenticate(self) -> dict[str, Any]:
        return {"password": PASSWORD}

    async def change_password(self) -> dict[str, Any]:
        await self.revoke_other_sessions()
        return {"currentPassword": PASSWORD, "newPassword": PASSWORD}

    async def begin_second_factor(self) -> dict[str, Any]:
        self._act(await self.make.user(Role.ADMIN))
        return {}

    async def confirm_second_factor(self) -> dict[str, Any]:
        await self.begin_second_factor()
        begun = await self.gql.change("beginSecondFactor", "enrolment { secret }")
        self.secrets.append(begun["enrolment"]["secret"])
        return {"code": Authenticator(self.make, begun["enrolment"]["secret"]).code()}

    async def _factor(self) -> Authenticator:
        await self.begin_second_factor()
        made = await enrolled(self.make, self.gql, self.admin)
        self.secrets += [made.totp.secret, *made.recovery_codes]
        return made

    async def disable_second_factor(self) -> dict[str, Any]:
        await self._factor()
        return {}

    async def replace_recovery_codes(self) -> dict[str, Any]:
        await self._factor()
        return {}

    async def reset_second_factor(self) -> dict[str, Any]:
        user = await self.make.user(Role.ANALYST)
        await enrolled(self.make, self.gql, user)
        return {"userId": user.id}

    async def complete_sign_in(self) -> dict[str, Any]:
        factor = await self._factor()
        payload = await self.gql.change("signIn", "challenge { token }", **await self.sign_in())
        self.secrets.append(payload["challenge"]["token"])
        return {"challenge": payload["challenge"]["token"], "code": factor.recovery_codes[0]}

    async def begin_provider_sign_in(self) -> dict[str, Any]:
        return {"provider": "bank"}

    async def _journey(self, mutation: str, who: str | None = None) -> dict[str, Any]:
        way = await journey(self.gql, mutation=mutation, who=who or f"zyxwvut-{self.make.new_id().hex}")
        self.secrets += way.given().values()
        return dict(way.given())

    async def complete_provider_sign_in(self) -> dict[str, Any]:
        return await self._journey("beginProviderSignIn")

    async def link_provider(self) -> dict[str, Any]:
        self._act(await self.make.user(Role.ADMIN))
        claims = {"sub": str(self.admin.user.id), "provider": "bank", "email": "zyxwvut@bank.example"}
        subject = f"zyxwvut-{self.admin.user.id.hex}"
        tokens = self.make.services.tokens
        token, _ = tokens.stating(LINK_AUDIENCE, {**claims, "subject": subject}, self.make.now, LINK_TIME)
        self.secrets.append(token)
        return {"linkToken": token}

    async def begin_provider_link(self) -> dict[str, Any]:
        return {"provider": "bank"}

    async def complete_provider_link(self) -> dict[str, Any]:
        self._act(await self.make.user(Role.ADMIN))
        return await self._journey("beginProviderLink")

    async def unlink_provider(self) -> dict[str, Any]:
        given = await self.link_provider()
        await self.gql.change("linkProvider", "__typename", **given)
        return {"provider": "bank"}

    async def begin_provider_reauthentication(self) -> dict[str, Any]:
        return {"provider": "bank"}

    async def complete_provider_reauthentication(self) -> dict[str, Any]:
        await self.unlink_provider()
        return await self._journey("beginProviderReauthentication", f"zyxwvut-{self.admin.user.id.hex}")

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

    async def announce(self) -> dict[str, Any]:
        return {"kind": "ANNOUNCEMENT", "title": "Closed on Friday", "text": "As every year.", "audience": "ALL"}

    async def withdraw_announcement(self) -> dict[str, Any]:
        payload = await self.gql.change("announce", "announcement { id }", **await self.announce())
        return {"announcementId": payload["announcement"]["id"], "version": 1}

    def _address(self) -> str:
        return f"zyxwvut{next(self.make.numbers)}@example.org"

    async def _token(self, kind: LinkKind, user_id: str) -> str:
        """The token of the last link that was mailed to a user."""
        key = UUID(user_id.removeprefix("user_"))
        link = "select id from account_links where user_id = $1 order by id desc limit 1"
        token = self.gql.services.gateways.links.token(kind, await self.make.connection.fetchval(link, key))
        self.secrets.append(token)
        return token

    async def start_conversation(self) -> dict[str, Any]:
        return {"title": "Zyxwvut Qponm"}

    async def _conversation(self) -> str:
        payload = await self.gql.change("startConversation", "conversation { id }", title="Zyxwvut")
        return str(payload["conversation"]["id"])

    async def send_message(self) -> dict[str, Any]:
        # By somebody of its own, for nobody answers here, and only so many questions wait for an answer.
        self._act(await self.make.user(Role.ADMIN))
        return {
            "conversationId": await self._conversation(),
            "content": "What does Zyxwvut Qponm like? Zebras?",
            "idempotencyKey": f"key {next(self.make.numbers)}",
            "context": {"nodeIds": [await self._client()], "page": "Of Zyxwvut"},
        }

    async def cancel_run(self) -> dict[str, Any]:
        given = await self.send_message()
        payload = await self.gql.change("sendMessage", "run { id }", **given)
        return {"runId": payload["run"]["id"]}

    async def retry_run(self) -> dict[str, Any]:
        given = await self.cancel_run()
        await self.gql.change("cancelRun", "__typename", **given)
        return given

    async def rename_conversation(self) -> dict[str, Any]:
        return {"conversationId": await self._conversation(), "title": "Qponm"}

    async def archive_conversation(self) -> dict[str, Any]:
        return {"conversationId": await self._conversation()}

    async def delete_conversation(self) -> dict[str, Any]:
        given = await self.send_message()
        await self.gql.change("sendMessage", "__typename", **given)
        return {"conversationId": given["conversationId"]}

    async def share_conversation(self) -> dict[str, Any]:
        user = await self.make.user(Role.ADVISOR, name="Zyxwvut")
        return {"conversationId": await self._conversation(), "userId": user.id}

    async def leave_conversation(self) -> dict[str, Any]:
        given = await self.share_conversation()
        await self.gql.change("shareConversation", "__typename", **given)
        return given

    async def invite_user(self) -> dict[str, Any]:
        return {"email": self._address(), "name": "Zyxwvut Qponm", "role": "ANALYST"}

    async def resend_invitation(self) -> dict[str, Any]:
        payload = await self.gql.change("inviteUser", "user { id }", **await self.invite_user())
        return {"userId": payload["user"]["id"]}

    async def accept_invite(self) -> dict[str, Any]:
        user_id = (await self.resend_invitation())["userId"]
        return {"token": await self._token(LinkKind.INVITATION, user_id), "password": PASSWORD, "name": "Wvutsr"}

    async def register(self) -> dict[str, Any]:
        return {"email": self._address(), "name": "Zyxwvut Qponm"}

    async def request_password_reset(self) -> dict[str, Any]:
        return {"email": self.admin.user.email}

    async def reset_password(self) -> dict[str, Any]:
        user = await self.make.user(Role.ANALYST)
        await self.gql.change("requestPasswordReset", "accepted", email=user.user.email)
        return {"token": await self._token(LinkKind.PASSWORD_RESET, user.id), "newPassword": PASSWORD}

    async def request_email_verification(self) -> dict[str, Any]:
        return {}

    async def change_email(self) -> dict[str, Any]:
        return {"email": self._address()}

    async def verify_email(self) -> dict[str, Any]:
        user = await self.make.user(Role.ANALYST)
        await self.gql.as_(user).change("changeEmail", "accepted", **await self.change_email())
        return {"token": await self._token(LinkKind.EMAIL_VERIFICATION, user.id)}

    async def update_profile(self) -> dict[str, Any]:
        picture = "https://example.org/zyxwvut.jpg"
        return {"name": "Zyxwvut Qponm", "pictureUrl": picture, "preferences": {"likes": "zebras"}}

    async def change_user_role(self) -> dict[str, Any]:
        return {**await self.disable_user(), "version": 1, "role": "AUDITOR"}

    async def disable_user(self) -> dict[str, Any]:
        return {"userId": (await self.make.user(Role.ANALYST, name="Zyxwvut")).id}

    async def enable_user(self) -> dict[str, Any]:
        return {"userId": (await self.make.user(Role.ANALYST, name="Zyxwvut", status=UserStatus.DISABLED)).id}

    async def sign_out_user(self) -> dict[str, Any]:
        return await self.disable_user()

    async def retry_job(self) -> dict[str, Any]:
        return {"jobId": id_of(await jobs.dead(self.make))}

    async def create_service_account(self) -> dict[str, Any]:
        email = f"zyxwvut{next(self.make.numbers)}@example.org"
        return {"name": "Zyxwvut Qponm", "email": email, "bookIds": [id_of(await self.make.book())]}

    async def disable_service_account(self) -> dict[str, Any]:
        return {"serviceAccountId": id_of((await partners.program(self.make)).account)}

    async def create_service_key(self) -> dict[str, Any]:
        last_day = str(self.make.now.date() + timedelta(days=30))
        given = await self.disable_service_account()
        return {**given, "name": "Nightly", "actions": ["PLACE_ORDER"], "expiresOn": last_day}

    async def rotate_service_key(self) -> dict[str, Any]:
        program = await partners.program(self.make)
        self.secrets.append(program.token)
        return {"serviceKeyId": program.key_id}

    async def revoke_service_key(self) -> dict[str, Any]:
        return await self.rotate_service_key()

    async def break_glass(self) -> dict[str, Any]:
        # An admin sees all books already: somebody else breaks the glass.
        self._act(await self.make.advisor())
        return {"bookId": id_of(await self.make.book()), "reason": "Their advisor is ill today."}

    async def end_break_glass(self) -> dict[str, Any]:
        advisor = await self.make.advisor()
        return {"glassAccessId": id_of(await partners.glass(self.make, advisor.user, await self.make.book()))}

    async def reveal_tax_id(self) -> dict[str, Any]:
        payload = await self.gql.change("createClient", "client { id }", **await self.create_client())
        self.secrets.append(str(DETAILS["taxId"]))
        return {"clientId": payload["client"]["id"], "reason": "Asked for by the tax office."}

    async def erase_client(self) -> dict[str, Any]:
        payload = await self.gql.change("createClient", "client { id }", **await self.create_client())
        given = {"clientId": payload["client"]["id"], "version": 1}
        await self.gql.change("archiveClient", "client { id }", **given)
        return {**given, "version": 2, "reason": "Its time is over by law."}

    async def erase_user(self) -> dict[str, Any]:
        user = await self.make.user(Role.ADVISOR, name="Zyxwvut", status=UserStatus.DISABLED)
        return {"userId": user.id, "version": 1, "reason": "Its time is over by law."}

    def scene(self, mutation: str) -> Callable[[], Awaitable[dict[str, Any]]]:
        """What makes the input of a mutation."""
        name = re.sub(r"[A-Z]", lambda capital: f"_{capital[0].lower()}", mutation)
        scene: Callable[[], Awaitable[dict[str, Any]]] = getattr(self, name)
        return scene
