"""One's own account, over HTTP: invitations, registration, recovery, addresses, the profile."""

import asyncio
import socket
import statistics
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from domain.access import Role
from domain.identity.accounts import MOST_LINKS
from domain.identity.links import LinkKind
from domain.identity.passwords import LONGEST_PASSWORD
from domain.identity.profile import LARGEST_PREFERENCES
from domain.mail import Security, SmtpMail, SmtpServer, as_sender
from graph.app import make_app, open_services
from graph.context import Services
from graph.http.schema import Schema
from graph.identity import account
from graph.settings import Settings
from persistence.embedded import EmbeddedServer
from persistence.housekeeping import forget
from tests.conftest import quick
from tests.factories.firm import PASSWORD, Make, SignedIn
from tests.support.clock import moved
from tests.support.gql import Gql
from tests.support.letters import directory, letters_to, token_of
from tests.support.post import Post, office
from tests.support.served import Served, socket_to
from tests.support.worker import drained

NEW = "seven green lanterns hum"
OTHER = "quiet harbours keep maps"
SIGN_IN = """
mutation ($email: String!, $password: String!) {
    signIn(input: {email: $email, password: $password}) { session { accessToken user { id } } userErrors { code } }
}
"""


@pytest.fixture
async def services(
    settings: Settings, database_url: str, cluster: EmbeddedServer, tmp_path: Path
) -> AsyncIterator[Services]:
    """As everywhere, with a directory of the test's own for letters."""
    own = settings.model_copy(update={"state_directory": tmp_path})
    async with open_services(own, database_url, Path(cluster.home)) as opened:
        yield quick(opened)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Answers need not take the same time, but in the test of that."""
    if "even" not in request.node.name:
        monkeypatch.setattr(account, "EVEN_SECONDS", 0)


@pytest.fixture
async def admin(make: Make) -> SignedIn:
    return await make.user(Role.ADMIN)


@pytest.fixture
async def advisor(make: Make) -> SignedIn:
    return await make.advisor(clients=1)


def codes(payload: Any) -> list[str]:
    """The codes of a payload's user errors."""
    return [error["code"] for error in payload["userErrors"]]


async def signed_in(gql: Gql, email: str, password: str) -> str | None:
    """The access token of a sign-in, or none."""
    answer = await gql.ask(SIGN_IN, email=email, password=password)
    return None if answer.codes else str(answer.data["signIn"]["session"]["accessToken"])


async def invited(gql: Gql, admin: SignedIn, **given: Any) -> Any:
    """An analyst who has been invited."""
    new = {"email": "asha@new.example", "name": "Asha Rao", "role": "ANALYST", **given}
    payload = await gql.as_(admin).change("inviteUser", "user { id status role email version }", **new)
    assert payload["userErrors"] == []
    return payload["user"]


async def accept(gql: Gql, token: str, **given: Any) -> Any:
    fields = "session { accessToken user { name email locale timeZone status emailVerifiedAt } }"
    return await gql.change("acceptInvite", fields, **{"token": token, "password": NEW, **given})


async def test_an_invitation_makes_a_user_who_signs_in(gql: Gql, services: Services, admin: SignedIn) -> None:
    user = await invited(gql, admin)
    assert (user["status"], user["role"], user["email"]) == ("INVITED", "ANALYST", "asha@new.example")
    assert await signed_in(gql, "asha@new.example", NEW) is None
    (letter,) = await letters_to(services, "asha@new.example")
    assert "127.0.0.1:8000/accept-invite#token=" in letter.get_content()
    session = (await accept(gql, token_of(letter), timeZone="Europe/Berlin", name=" Asha  Rao-Weiss "))["session"]
    assert session["user"]["name"] == "Asha Rao-Weiss"
    assert session["user"]["timeZone"] == "Europe/Berlin"
    assert (session["user"]["locale"], session["user"]["status"]) == ("en_IN", "ACTIVE")
    assert session["user"]["emailVerifiedAt"]
    mine = Gql(gql.client, services, session["accessToken"])
    assert (await mine.run("{ viewer { role } clients { totalCount } }")) == {
        "viewer": {"role": "ANALYST"},
        "clients": {"totalCount": 0},
    }
    assert await signed_in(gql, "asha@new.example", NEW)


async def test_a_letter_holds_the_link_and_nothing_else_does(
    gql: Gql, make: Make, services: Services, admin: SignedIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await invited(gql, admin)
    (letter,) = await letters_to(services, "asha@new.example")
    token = token_of(letter)
    (path,) = directory(services).glob("*.eml")
    assert str(path) in caplog.text
    for told in (caplog.text, str(path)):
        assert token not in told
        assert "asha@new.example" not in told
    tables = await make.connection.fetch(
        "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('public', 'queue')"
    )
    for (name,) in tables:
        held = await make.connection.fetchval(f"select string_agg(t::text, '') from {name} t")  # noqa: S608 - our own names
        assert token not in (held or ""), name
        # Half of it is the row's id, so that the signature alone is looked for too.
        assert token[24:] not in (held or ""), name


async def test_a_mail_server_that_is_down_delays_a_letter_and_loses_none(
    gql: Gql, make: Make, services: Services, admin: SignedIn
) -> None:
    await invited(gql, admin)
    post = Post()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    server = SmtpServer("127.0.0.1", port, security=Security.NONE, seconds=5)
    gateways = msgspec.structs.replace(services.gateways, mail=SmtpMail(server, as_sender("s@firm.example")))
    by_post = msgspec.structs.replace(services, gateways=gateways)
    waiting = "select status::text, attempts from queue.pgqueuer where entrypoint = 'letters.send_link'"
    await drained(by_post)
    assert [tuple(row) for row in await make.connection.fetch(waiting)] == [("queued", 1)]
    async with office(post, port):
        await make.connection.execute("update queue.pgqueuer set execute_after = now()")
        await drained(by_post)
    ((_, recipients, letter),) = post.arrived
    assert recipients == ["asha@new.example"]
    assert codes(await accept(gql, token_of(letter))) == []
    assert await make.connection.fetch(waiting) == []


async def test_a_link_that_was_used_meanwhile_is_not_mailed(
    gql: Gql, make: Make, services: Services, admin: SignedIn
) -> None:
    await invited(gql, admin)
    link_id = await make.connection.fetchval("select id from account_links")
    assert codes(await accept(gql, services.gateways.links.token(LinkKind.INVITATION, link_id))) == []
    assert await letters_to(services, "asha@new.example") == []


async def test_a_link_works_once_even_for_two_at_once(gql: Gql, services: Services, admin: SignedIn) -> None:
    await invited(gql, admin)
    (letter,) = await letters_to(services, "asha@new.example")
    answers = await asyncio.gather(*(accept(gql, token_of(letter), password=each) for each in (NEW, OTHER)))
    assert sorted(map(codes, answers)) == [[], ["LINK_INVALID"]]
    assert codes(await accept(gql, token_of(letter))) == ["LINK_INVALID"]


async def test_links_end_after_their_time(gql: Gql, services: Services, admin: SignedIn, advisor: SignedIn) -> None:
    clock = moved(services)
    await invited(gql, admin)
    await gql.change("requestPasswordReset", "accepted", email=advisor.user.email)
    (invitation,) = await letters_to(services, "asha@new.example")
    (reset,) = await letters_to(services, advisor.user.email)
    clock.move(minutes=30)
    payload = await gql.change("resetPassword", "reset", token=token_of(reset), newPassword=NEW)
    assert (payload["reset"], codes(payload)) == (False, ["LINK_INVALID"])
    clock.move(days=6, hours=23, minutes=29, seconds=50)
    assert codes(await accept(gql, token_of(invitation), password="short")) == ["WEAK_PASSWORD"]
    clock.move(seconds=10)
    assert codes(await accept(gql, token_of(invitation))) == ["LINK_INVALID"]


@pytest.mark.parametrize("spoil", [0, 30, 63, "kind", "short", "long", "é", "empty", "padded"])
async def test_what_is_no_link_is_invalid(gql: Gql, services: Services, admin: SignedIn, spoil: Any) -> None:
    user = await invited(gql, admin)
    (letter,) = await letters_to(services, "asha@new.example")
    token = token_of(letter)
    link_id = services.gateways.links.read(LinkKind.INVITATION, token)
    texts = {
        "kind": services.gateways.links.token(LinkKind.PASSWORD_RESET, link_id),
        "short": token[:-4],
        "long": token + "AAAA",
        "é": "é" + token[1:],
        "empty": "",
        "padded": token + "====",
    }
    if isinstance(spoil, int):
        spoilt = token[:spoil] + ("A" if token[spoil] != "A" else "B") + token[spoil + 1 :]
    else:
        spoilt = texts[spoil]
    assert codes(await accept(gql, spoilt)) == ["LINK_INVALID"]
    assert user["status"] == "INVITED"
    # Nothing but the difference was the reason.
    assert codes(await accept(gql, token)) == []


async def test_a_well_signed_link_that_never_was_is_invalid(gql: Gql, services: Services) -> None:
    token = services.gateways.links.token(LinkKind.INVITATION, UUID(int=7))
    assert codes(await accept(gql, token)) == ["LINK_INVALID"]


@pytest.mark.parametrize("password", ["short", "asha@new.example", "x" * (LONGEST_PASSWORD + 1)])
async def test_a_refused_password_leaves_the_invitation_good(
    gql: Gql, services: Services, admin: SignedIn, password: str
) -> None:
    await invited(gql, admin)
    (letter,) = await letters_to(services, "asha@new.example")
    payload = await accept(gql, token_of(letter), password=password)
    assert payload["userErrors"][0]["field"] == ["input", "password"]
    assert codes(payload) == ["WEAK_PASSWORD"]
    assert codes(await accept(gql, token_of(letter))) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", " "), ("locale", "english"), ("timeZone", "Mars/Olympus"), ("timeZone", ""), ("locale", "")],
)
async def test_what_accepts_is_checked(gql: Gql, services: Services, admin: SignedIn, field: str, value: str) -> None:
    await invited(gql, admin)
    (letter,) = await letters_to(services, "asha@new.example")
    payload = await accept(gql, token_of(letter), **{field: value})
    assert payload["userErrors"][0]["field"] == ["input", field]
    assert payload["session"] is None


REGISTER = {"email": "new@people.example", "name": "Noor Khan"}


async def test_whoever_registers_sees_no_client_until_an_admin_gives_a_team(
    gql: Gql, make: Make, services: Services, admin: SignedIn
) -> None:
    colleague = await make.advisor(clients=2)
    assert colleague.book
    assert await gql.change("register", "accepted", **REGISTER) == {"accepted": True, "userErrors": []}
    assert await signed_in(gql, "new@people.example", NEW) is None
    (letter,) = await letters_to(services, "new@people.example")
    payload = await accept(gql, token_of(letter))
    mine = Gql(gql.client, services, payload["session"]["accessToken"])
    seen = "{ viewer { role user { id version team { id } unit { id } } } clients { totalCount } books { totalCount } }"
    found = await mine.run(seen)
    assert found["viewer"]["role"] == "VIEWER"
    assert found["viewer"]["user"]["team"] is None is found["viewer"]["user"]["unit"]
    assert (found["clients"], found["books"]) == ({"totalCount": 0}, {"totalCount": 0})
    # Nor who works here: it is no colleague of anybody yet.
    assert await mine.run("{ users { nodes { role } } }") == {"users": {"nodes": [{"role": "VIEWER"}]}}
    user = found["viewer"]["user"]
    changed = await gql.as_(admin).change(
        "changeUserRole",
        "user { role }",
        userId=user["id"],
        version=user["version"],
        role="VIEWER",
        teamId=f"team_{colleague.book.team_id.hex}",
    )
    assert changed["userErrors"] == []
    # The same session: at once.
    assert (await mine.run("{ clients { totalCount } }")) == {"clients": {"totalCount": 2}}


async def test_registration_is_closed_by_default(
    make: Make, services: Services, schema: Schema, settings: Settings, tmp_path: Path
) -> None:
    assert Settings(environment=settings.environment, state_directory=tmp_path).registration is False
    closed = msgspec.structs.replace(services, registration=False)
    transport = httpx.ASGITransport(make_app(settings, closed, schema=schema))
    async with httpx.AsyncClient(transport=transport, base_url="http://steward.test") as client:
        payload = await Gql(client, closed).change("register", "accepted", **REGISTER)
    assert codes(payload) == ["REGISTRATION_CLOSED"]
    assert await make.connection.fetchval("select count(*) from users") == 0


async def test_registering_an_address_that_has_an_account_tells_its_owner_alone(
    gql: Gql, make: Make, services: Services, advisor: SignedIn
) -> None:
    payload = await gql.change("register", "accepted", email=f" {advisor.user.email.upper()}", name="Somebody")
    assert payload == {"accepted": True, "userErrors": []}
    (letter,) = await letters_to(services, advisor.user.email)
    assert "/reset-password#token=" in letter.get_content()
    assert await make.connection.fetchval("select count(*) from users") == 1
    assert (await make.connection.fetchval("select name from users")) == advisor.user.name


async def test_registering_twice_mails_another_link_and_keeps_the_first_name(
    gql: Gql, make: Make, services: Services
) -> None:
    for name in ("First", "Second"):
        await gql.change("register", "accepted", email="twice@people.example", name=name)
    letters = await letters_to(services, "twice@people.example")
    assert len(letters) == 2
    assert await make.connection.fetchval("select name from users") == "First"
    assert codes(await accept(gql, token_of(letters[0]))) == []
    assert codes(await accept(gql, token_of(letters[1]))) == ["LINK_INVALID"]


async def test_a_reset_changes_the_password_ends_all_sessions_and_tells_the_user(
    gql: Gql, make: Make, services: Services, advisor: SignedIn, live: Served
) -> None:
    elsewhere = await make.session(advisor.user)
    for _ in range(2):
        await gql.change("requestPasswordReset", "accepted", email=advisor.user.email)
    letters = await letters_to(services, advisor.user.email)
    async with socket_to(live, elsewhere.token) as socket:
        await socket.subscribe("subscription { notifications { cursor } }")
        payload = await gql.change("resetPassword", "reset", token=token_of(letters[0]), newPassword=NEW)
        assert payload == {"reset": True, "userErrors": []}
        assert await socket.closed() == 4403
    for user in (advisor, elsewhere):
        assert (await gql.as_(user).ask("{ viewer { role } }")).codes == ["UNAUTHENTICATED"]
    assert await signed_in(gql, advisor.user.email, PASSWORD) is None
    assert await signed_in(gql, advisor.user.email, NEW)
    # The other link was made void.
    again = await gql.change("resetPassword", "reset", token=token_of(letters[1]), newPassword=OTHER)
    assert codes(again) == ["LINK_INVALID"]
    (told,) = (await letters_to(services, advisor.user.email))[2:]
    assert told["Subject"] == "Your password was changed"
    assert "#token=" not in told.get_content()


async def test_of_two_resets_at_once_exactly_one_succeeds(gql: Gql, services: Services, advisor: SignedIn) -> None:
    await gql.change("requestPasswordReset", "accepted", email=advisor.user.email)
    (letter,) = await letters_to(services, advisor.user.email)
    answers = await asyncio.gather(
        *(
            gql.change("resetPassword", "reset", token=token_of(letter), newPassword=password)
            for password in (NEW, OTHER)
        )
    )
    assert sorted(map(codes, answers)) == [[], ["LINK_INVALID"]]
    won = NEW if codes(answers[0]) == [] else OTHER
    assert await signed_in(gql, advisor.user.email, won)
    assert await signed_in(gql, advisor.user.email, OTHER if won == NEW else NEW) is None


@pytest.mark.parametrize("about", ["unknown", "disabled", "program"])
async def test_a_reset_that_cannot_be_is_answered_alike(
    gql: Gql, make: Make, services: Services, advisor: SignedIn, about: str
) -> None:
    address = advisor.user.email
    if about == "unknown":
        address = "nobody@steward.example"
    else:
        change = {"disabled": "status = 'DISABLED'", "program": "role = 'SERVICE'"}[about]
        await make.connection.execute(f"update users set {change}")  # noqa: S608 - as written above
    good = await make.user(Role.ANALYST)
    answers = [await gql.ask(RESET, email=each) for each in (good.user.email, address)]
    assert answers[0].data == answers[1].data
    assert len(await letters_to(services, good.user.email)) == 1
    assert await letters_to(services, address) == []


RESET = "mutation ($email: String!) { requestPasswordReset(input: {email: $email}) { accepted userErrors { code } } }"


async def taken(gql: Gql, address: str) -> float:
    """For how many seconds whoever asks for a new password waits."""
    began = perf_counter()
    await gql.run(RESET, email=address)
    return perf_counter() - began


async def test_no_answer_comes_before_all_others_would(gql: Gql, services: Services, advisor: SignedIn) -> None:
    for address in (advisor.user.email, "nobody@steward.example"):
        assert await taken(gql, address) >= account.EVEN_SECONDS
    assert len(await letters_to(services, advisor.user.email)) == 1


@pytest.mark.soak
async def test_answers_are_even_whether_there_is_an_account(gql: Gql, make: Make) -> None:
    users = [(await make.user(Role.ADVISOR)).user.email for _ in range(4)]
    pairs = [(await taken(gql, user), await taken(gql, f"no{at}@steward.example")) for at, user in enumerate(users)]
    known, unknown = (statistics.median(times) for times in zip(*pairs, strict=True))
    assert abs(known - unknown) < 0.1 * known


async def test_a_mailbox_gets_three_links_an_hour_and_the_answer_stays_the_same(
    gql: Gql, services: Services, advisor: SignedIn
) -> None:
    clock = moved(services)
    for _ in range(5):
        assert (await gql.run(RESET, email=advisor.user.email))["requestPasswordReset"]["accepted"]
    assert len(await letters_to(services, advisor.user.email)) == 3
    clock.move(hours=1, seconds=1)
    await gql.run(RESET, email=advisor.user.email)
    # Put forward, the clock of the test is ahead of the queue's, which is the database's own.
    assert len(await letters_to(services, advisor.user.email)) == 4


async def test_an_address_that_asks_for_many_letters_has_to_wait(gql: Gql, services: Services) -> None:
    moved(services)
    answers = [await gql.ask(RESET, email=f"no{at}@steward.example") for at in range(40)]
    assert answers[0].codes == []
    assert answers[-1].codes == ["RATE_LIMITED"]
    assert answers[-1]["errors"][0]["extensions"]["retryAfter"] >= 1


async def test_whoever_was_invited_and_asks_for_a_password_is_invited_again(
    gql: Gql, services: Services, admin: SignedIn
) -> None:
    await invited(gql, admin)
    await gql.run(RESET, email="asha@new.example")
    letters = await letters_to(services, "asha@new.example")
    assert ["/accept-invite#" in letter.get_content() for letter in letters] == [True, True]
    assert codes(await accept(gql, token_of(letters[1]))) == []


async def test_an_address_is_verified_by_its_link(gql: Gql, make: Make, services: Services, advisor: SignedIn) -> None:
    mine = gql.as_(advisor)
    verified = "{ viewer { user { emailVerifiedAt } } }"
    assert (await mine.run(verified))["viewer"]["user"]["emailVerifiedAt"] is None
    assert await mine.change("requestEmailVerification", "accepted") == {"accepted": True, "userErrors": []}
    (letter,) = await letters_to(services, advisor.user.email)
    payload = await gql.change("verifyEmail", "email", token=token_of(letter))
    assert payload == {"email": advisor.user.email, "userErrors": []}
    assert (await mine.run(verified))["viewer"]["user"]["emailVerifiedAt"]
    assert codes(await gql.change("verifyEmail", "email", token=token_of(letter))) == ["LINK_INVALID"]
    assert codes(await mine.change("requestEmailVerification", "accepted")) == ["USER_STATUS"]
    (row,) = await make.connection.fetch(
        "select * from audit_events where action = 'identity.verify_email' and object_type = 'User'"
    )
    assert row["actor_id"] == advisor.user.id


async def test_links_to_verify_are_bounded(gql: Gql, advisor: SignedIn) -> None:
    asked = [codes(await gql.as_(advisor).change("requestEmailVerification", "accepted")) for _ in range(4)]
    assert asked == [[], [], [], ["TOO_MANY_LINKS"]]


async def test_another_address_counts_once_it_is_verified(gql: Gql, services: Services, advisor: SignedIn) -> None:
    mine = gql.as_(advisor)
    await gql.run(RESET, email=advisor.user.email)
    assert codes(await mine.change("changeEmail", "accepted", email="Other@People.example")) == []
    assert (await mine.run("{ viewer { user { email } } }"))["viewer"]["user"]["email"] == advisor.user.email
    (letter,) = await letters_to(services, "other@people.example")
    payload = await gql.change("verifyEmail", "email", token=token_of(letter))
    assert payload["email"] == "other@people.example"
    assert (await mine.run("{ viewer { user { email } } }"))["viewer"]["user"]["email"] == "other@people.example"
    reset, told = await letters_to(services, advisor.user.email)
    assert told["Subject"] == "Your address was changed"
    # What went to the address before opens nothing any more.
    again = await gql.change("resetPassword", "reset", token=token_of(reset), newPassword=NEW)
    assert codes(again) == ["LINK_INVALID"]
    assert await signed_in(gql, advisor.user.email, PASSWORD) is None
    assert await signed_in(gql, "other@people.example", PASSWORD)


async def test_an_address_that_a_thief_asked_for_is_not_taken_once_the_password_is_another(
    gql: Gql, make: Make, services: Services, advisor: SignedIn
) -> None:
    thief = await make.session(advisor.user)
    await gql.as_(thief).change("changeEmail", "accepted", email="thief@people.example")
    (theirs,) = await letters_to(services, "thief@people.example")
    await gql.change("requestPasswordReset", "accepted", email=advisor.user.email)
    (reset,) = await letters_to(services, advisor.user.email)
    await gql.change("resetPassword", "reset", token=token_of(reset), newPassword=NEW)
    assert codes(await gql.change("verifyEmail", "email", token=token_of(theirs))) == ["LINK_INVALID"]


async def test_whether_an_address_is_taken_is_not_to_be_found_out_by_asking_often(
    gql: Gql, make: Make, services: Services, advisor: SignedIn
) -> None:
    other = await make.user(Role.ANALYST)
    mine = gql.as_(advisor)
    for _ in range(MOST_LINKS):
        assert codes(await mine.change("changeEmail", "accepted", email=other.user.email)) == []
    for address in (other.user.email, "free@people.example"):
        assert codes(await mine.change("changeEmail", "accepted", email=address)) == ["TOO_MANY_LINKS"]
    assert await letters_to(services, other.user.email) == []


async def test_an_address_of_another_user_is_neither_told_nor_taken(
    gql: Gql, make: Make, services: Services, advisor: SignedIn
) -> None:
    other = await make.user(Role.ANALYST)
    payload = await gql.as_(advisor).change("changeEmail", "accepted", email=other.user.email)
    assert payload == {"accepted": True, "userErrors": []}
    assert await letters_to(services, other.user.email) == []
    # Taken between the asking and the using.
    await gql.as_(advisor).change("changeEmail", "accepted", email="free@people.example")
    (letter,) = await letters_to(services, "free@people.example")
    await make.connection.execute("update users set email = 'free@people.example' where id = $1", other.user.id)
    assert codes(await gql.change("verifyEmail", "email", token=token_of(letter))) == ["DUPLICATE"]


async def test_of_two_who_want_an_address_at_once_one_gets_it(
    gql: Gql, make: Make, services: Services, advisor: SignedIn
) -> None:
    other = await make.user(Role.ANALYST)
    for user in (advisor, other):
        await gql.as_(user).change("changeEmail", "accepted", email="one@people.example")
    letters = await letters_to(services, "one@people.example")
    answers = await asyncio.gather(*(gql.change("verifyEmail", "email", token=token_of(each)) for each in letters))
    assert sorted(map(codes, answers)) == [[], ["DUPLICATE"]]


@pytest.mark.parametrize("address", ["", "nobody", "a@b", "x" * 300 + "@people.example"])
async def test_what_is_no_address_is_refused(gql: Gql, advisor: SignedIn, address: str) -> None:
    for payload in (
        await gql.as_(advisor).change("changeEmail", "accepted", email=address),
        await gql.change("requestPasswordReset", "accepted", email=address),
        await gql.change("register", "accepted", email=address, name="Noor"),
    ):
        assert payload["userErrors"][0]["field"] == ["input", "email"]
        assert codes(payload) == ["INVALID_VALUE"]


async def test_ones_own_address_is_no_other(gql: Gql, advisor: SignedIn) -> None:
    payload = await gql.as_(advisor).change("changeEmail", "accepted", email=advisor.user.email)
    assert codes(payload) == ["INVALID_VALUE"]


async def test_another_address_needs_a_recent_proof(gql: Gql, make: Make, advisor: SignedIn) -> None:
    old = await make.session(advisor.user, authenticated_at=make.now - timedelta(minutes=16))
    payload = await gql.as_(old).change("changeEmail", "accepted", email="other@people.example")
    assert codes(payload) == ["REAUTHENTICATION_NEEDED"]


PROFILE = "user { name pictureUrl locale timeZone version }"


async def test_a_profile_is_changed_field_by_field(gql: Gql, advisor: SignedIn) -> None:
    mine = gql.as_(advisor)
    first = await mine.change("updateProfile", PROFILE, name=" Asha  Mehta ", pictureUrl="https://x.example/a.jpg")
    assert first["user"] == {
        "name": "Asha Mehta",
        "pictureUrl": "https://x.example/a.jpg",
        "locale": "en_IN",
        "timeZone": "Asia/Kolkata",
        "version": 2,
    }
    second = await mine.change("updateProfile", PROFILE, pictureUrl=None, locale="de_DE", timeZone="Europe/Berlin")
    assert second["user"]["pictureUrl"] is None
    assert second["user"]["name"] == "Asha Mehta"
    viewer = await mine.run("{ viewer { name locale timeZone } }")
    assert viewer["viewer"] == {"name": "Asha Mehta", "locale": "de_DE", "timeZone": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pictureUrl", "http://x.example/a.jpg"),
        ("pictureUrl", "javascript:alert(1)"),
        ("pictureUrl", "https://user:secret@x.example/a.jpg"),
        ("pictureUrl", "https://x.example/a b.jpg"),
        ("pictureUrl", "https://[x"),
        ("pictureUrl", "https://x.example/" + "a" * 2000),
        ("name", ""),
        ("name", "x" * 201),
        ("locale", "en-IN; drop"),
        ("timeZone", "localtime"),
        ("timeZone", "asia/kolkata"),
    ],
)
async def test_what_a_profile_cannot_hold_is_refused(gql: Gql, advisor: SignedIn, field: str, value: str) -> None:
    payload = await gql.as_(advisor).change("updateProfile", PROFILE, **{field: value})
    assert payload["userErrors"][0]["field"] == ["input", field]
    assert codes(payload) == ["INVALID_VALUE"]
    assert (await gql.as_(advisor).run("{ viewer { user { version } } }"))["viewer"]["user"]["version"] == 1


async def test_preferences_are_the_users_own(gql: Gql, make: Make, advisor: SignedIn) -> None:
    mine, kept = gql.as_(advisor), {"theme": "dark", "columns": ["name", 1, 2.5, None, True], "größe": {"zoom": 10**30}}
    asked = "{ viewer { preferences } }"
    assert (await mine.run(asked))["viewer"]["preferences"] == {}
    assert codes(await mine.change("updateProfile", PROFILE, preferences={"theme": "light"})) == []
    assert codes(await mine.change("updateProfile", PROFILE, preferences=kept)) == []
    assert (await mine.run(asked))["viewer"]["preferences"] == kept
    other = await make.user(Role.ADMIN)
    assert (await gql.as_(other).run(asked))["viewer"]["preferences"] == {}


@pytest.mark.parametrize(
    "value",
    [
        [],
        "dark",
        5,
        {"x": "x" * (LARGEST_PREFERENCES - 7)},
        {"x": {"x": [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}},
    ],
    ids=["list", "text", "number", "large", "deep"],
)
async def test_preferences_are_bounded(gql: Gql, advisor: SignedIn, value: Any) -> None:
    payload = await gql.as_(advisor).change("updateProfile", PROFILE, preferences=value)
    assert payload["userErrors"][0]["field"] == ["input", "preferences"]
    assert codes(payload) == ["INVALID_VALUE"]


async def test_preferences_as_large_as_may_be_are_kept(gql: Gql, advisor: SignedIn) -> None:
    largest = {"x": "x" * (LARGEST_PREFERENCES - 8)}
    assert codes(await gql.as_(advisor).change("updateProfile", PROFILE, preferences=largest)) == []
    assert (await gql.as_(advisor).run("{ viewer { preferences } }"))["viewer"]["preferences"] == largest


async def test_a_profile_and_preferences_stand_sealed_in_the_trail(gql: Gql, make: Make, advisor: SignedIn) -> None:
    await gql.as_(advisor).change("updateProfile", PROFILE, name="Zyxwvut", preferences={"pet": "zebra"})
    rows = await make.connection.fetch("select * from audit_events where action = 'identity.update_profile'")
    assert {row["object_type"] for row in rows} == {"User", "UserPreferences"}
    for row in rows:
        assert row["actor_id"] == advisor.user.id
        assert not any(word in str(dict(row)) for word in ("Zyxwvut", "zyxwvut", "zebra"))


async def test_old_links_are_forgotten(gql: Gql, make: Make, services: Services, admin: SignedIn) -> None:
    await invited(gql, admin)
    count: Callable[[], Any] = lambda: make.connection.fetchval("select count(*) from account_links")  # noqa: E731 - asked twice
    await forget(services.doors.database, make.now + timedelta(days=36))
    assert await count() == 1
    await forget(services.doors.database, make.now + timedelta(days=38))
    assert await count() == 0
