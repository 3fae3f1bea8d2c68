import asyncio
import base64
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, Literal
from uuid import UUID

import argon2
import jwt
import pytest

from domain.access import ALLOWED, Role
from domain.identity import ISSUER, Passwords
from graph.app import open_services
from graph.context import Services
from graph.ids import id_of
from graph.settings import Environment, Settings
from persistence.embedded import EmbeddedServer
from persistence.identity import Identities
from tests.factories.firm import PASSWORD, Make, SignedIn
from tests.support.clock import moved
from tests.support.gql import Answer, Gql

SIGN_IN = """
mutation ($email: String!, $password: String!) {
    signIn(input: {email: $email, password: $password}) {
        session { accessToken accessTokenExpiresAt refreshToken refreshTokenExpiresAt user { id email role } }
        userErrors { code }
    }
}
"""
REFRESH = """
mutation ($token: String!) {
    refreshSession(input: {refreshToken: $token}) {
        session { accessToken refreshToken user { name } }
        userErrors { code }
    }
}
"""
SIGN_OUT = "mutation { signOut(input: {}) { signedOut } }"
VIEWER = "{ viewer { name role can today books { name } user { email } locale timeZone } }"


async def sign_in(gql: Gql, email: str, password: str = PASSWORD) -> Any:
    return (await gql.run(SIGN_IN, email=email, password=password))["signIn"]["session"]


def reason(answer: Answer) -> str:
    """Why the answer says that there is no session."""
    assert answer.codes == ["UNAUTHENTICATED"]
    return str(answer["errors"][0]["extensions"]["reason"])


def by(gql: Gql, services: Services, token: str) -> Gql:
    """The same as whoever has the token."""
    return Gql(gql.client, services, token)


@pytest.fixture
async def advisor(make: Make) -> SignedIn:
    return await make.advisor(clients=1)


@pytest.fixture
async def session(gql: Gql, advisor: SignedIn) -> Any:
    return await sign_in(gql, advisor.user.email)


@pytest.fixture
def ask(gql: Gql, services: Services, session: Any) -> Callable[[], Any]:
    """Ask something with the session's first access token."""
    return lambda: by(gql, services, session["accessToken"]).ask(VIEWER)


async def test_a_session_says_who_it_is_and_opens_the_api(gql: Gql, services: Services, advisor: SignedIn) -> None:
    session = await sign_in(gql, f"  {advisor.user.email.upper()} ")
    assert session["user"] == {"id": advisor.id, "email": advisor.user.email, "role": "ADVISOR"}
    assert (await by(gql, services, session["accessToken"]).run(VIEWER))["viewer"]["name"] == advisor.user.name
    assert session["accessTokenExpiresAt"] < session["refreshTokenExpiresAt"]


async def test_an_unknown_address_and_a_wrong_password_get_the_same_answer(gql: Gql, advisor: SignedIn) -> None:
    answers = [
        await gql.ask(SIGN_IN, email=advisor.user.email, password="not the password"),
        await gql.ask(SIGN_IN, email="nobody@steward.example", password=PASSWORD),
    ]
    assert [reason(answer) for answer in answers] == ["INVALID", "INVALID"]
    assert answers[0].steady == answers[1].steady


class CountingHasher(argon2.PasswordHasher):
    """Counts how often a password is checked."""

    checks = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        self.checks += 1
        return super().verify(hash, password)


@pytest.mark.parametrize("email", ["user1@steward.example", "nobody@steward.example"])
async def test_a_password_is_hashed_for_every_address(make: Make, services: Services, email: str) -> None:
    await make.user(Role.ADVISOR)
    hasher = CountingHasher(1, 8, 1)
    known = await services.doors.read(None, Identities.account, email)
    assert not await Passwords(hasher).matches(known.credential if known else None, "not the password")
    assert hasher.checks == 1


@pytest.mark.soak
async def test_an_unknown_address_takes_as_long_as_a_wrong_password(make: Make, services: Services) -> None:
    user = await make.user(Role.ADVISOR)
    slow = Passwords()
    await make.connection.execute("update credentials set password_hash = $1", slow.hash(PASSWORD))

    async def seconds(email: str) -> float:
        began = perf_counter()
        known = await services.doors.read(None, Identities.account, email)
        assert not await slow.matches(known.credential if known else None, "not the password")
        return perf_counter() - began

    pairs = [(await seconds(user.user.email), await seconds("nobody@steward.example")) for _ in range(40)]
    known, unknown = (statistics.median(times) for times in zip(*pairs, strict=True))
    assert abs(known - unknown) < 0.2 * known


async def test_a_disabled_user_cannot_sign_in_and_is_out_at_once(
    gql: Gql, make: Make, advisor: SignedIn, session: Any, ask: Callable[[], Any]
) -> None:
    assert (await ask()).data
    await make.connection.execute("update users set status = 'DISABLED' where id = $1", advisor.user.id)
    assert reason(await ask()) == "REVOKED"
    assert reason(await gql.ask(SIGN_IN, email=advisor.user.email, password=PASSWORD)) == "INVALID"
    # Not even for whoever still holds a refresh token.
    assert reason(await gql.ask(REFRESH, token=session["refreshToken"])) == "REVOKED"


async def test_a_refresh_hands_out_new_tokens_and_the_session_goes_on(
    gql: Gql, services: Services, advisor: SignedIn, session: Any, ask: Callable[[], Any]
) -> None:
    refreshed = (await gql.run(REFRESH, token=session["refreshToken"]))["refreshSession"]["session"]
    assert refreshed["user"] == {"name": advisor.user.name}
    assert refreshed["refreshToken"] != session["refreshToken"]
    assert (await by(gql, services, refreshed["accessToken"]).run(VIEWER))["viewer"]
    again = await gql.run(REFRESH, token=refreshed["refreshToken"])
    assert again["refreshSession"]["session"]["accessToken"]
    # The first access token is of the same session, so it lives until it ends.
    assert (await ask()).data


async def test_a_second_use_of_a_refresh_token_ends_the_whole_session(
    gql: Gql, make: Make, session: Any, ask: Callable[[], Any]
) -> None:
    refreshed = (await gql.run(REFRESH, token=session["refreshToken"]))["refreshSession"]["session"]
    assert reason(await gql.ask(REFRESH, token=session["refreshToken"])) == "REVOKED"
    # Ended, and committed: the token that was fresh, and the access token, are worth nothing any more.
    assert reason(await ask()) == "REVOKED"
    assert reason(await gql.ask(REFRESH, token=refreshed["refreshToken"])) == "REVOKED"
    revoked = await make.connection.fetchval("select count(*) from sessions where revoked_at is not null")
    assert revoked == 1


async def test_of_two_concurrent_refreshes_exactly_one_succeeds(gql: Gql, session: Any) -> None:
    answers = await asyncio.gather(*(gql.ask(REFRESH, token=session["refreshToken"]) for _ in range(2)))
    refused = [answer for answer in answers if "errors" in answer]
    assert len(refused) == 1
    assert reason(refused[0]) == "REVOKED"


@pytest.mark.parametrize("token", ["", "x", "ä" * 300, "0" * 100_000])
async def test_what_is_no_refresh_token_is_invalid(gql: Gql, token: str) -> None:
    assert reason(await gql.ask(REFRESH, token=token)) == "INVALID"


async def test_tokens_end_after_their_lives(gql: Gql, services: Services, session: Any, ask: Callable[[], Any]) -> None:
    clock = moved(services)
    clock.move(minutes=29, seconds=50)
    assert (await ask()).data
    clock.move(seconds=10)
    assert reason(await ask()) == "EXPIRED"
    refreshed = (await gql.run(REFRESH, token=session["refreshToken"]))["refreshSession"]["session"]
    clock.move(days=7)
    assert reason(await gql.ask(REFRESH, token=refreshed["refreshToken"])) == "EXPIRED"


async def test_lives_are_settings(cluster: EmbeddedServer, database_url: str) -> None:
    given = Settings(
        environment=Environment.DEVELOPMENT, state_directory=Path(cluster.home), access_minutes=2, refresh_days=1
    )
    async with open_services(given, database_url, Path(cluster.home)) as opened:
        now = opened.doors.clock()
        token, ends = opened.tokens.access(UUID(int=1), UUID(int=2), now)
        assert 119 <= (ends - now).total_seconds() <= 120
        assert opened.tokens.read(token, now).expires_at == ends
        assert opened.tokens.lives.refresh.days == 1


def forged(services: Services, advisor: SignedIn, **differing: Any) -> str:
    """A token like a good one but for what is given."""
    now = services.doors.clock().timestamp()
    claims = {
        "sub": str(advisor.user.id),
        "sid": str(advisor.session.id),
        "iat": now,
        "exp": now + 600,
        "iss": ISSUER,
        "aud": ISSUER,
    }
    # The same secret, so that nothing but the difference can be the reason.
    secret = differing.pop("key", services.tokens._secret)  # noqa: SLF001 - as above
    return jwt.encode(claims | differing, secret, algorithm="HS256")


def unsigned(services: Services, advisor: SignedIn) -> str:
    """A good token's claims under the algorithm "none"."""
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).rstrip(b"=").decode()
    return f"{header}.{forged(services, advisor).split('.')[1]}."


async def test_a_forgery_is_good_but_for_its_difference(gql: Gql, services: Services, advisor: SignedIn) -> None:
    assert (await by(gql, services, forged(services, advisor)).run(VIEWER))["viewer"]


@pytest.mark.parametrize(
    "differing",
    [
        {"key": "another key of at least thirty-two characters"},
        {"aud": "another service"},
        {"aud": None},
        {"iss": "somebody else"},
        {"sub": "no id"},
        {"sub": 5},
        {"sid": None},
        {"exp": "soon"},
        {"exp": 10**30},
    ],
    ids=str,
)
async def test_a_token_that_differs_is_invalid(
    gql: Gql, services: Services, advisor: SignedIn, differing: dict[str, Any]
) -> None:
    assert reason(await by(gql, services, forged(services, advisor, **differing)).ask(VIEWER)) == "INVALID"


async def test_garbage_and_unsigned_tokens_are_invalid(gql: Gql, services: Services, advisor: SignedIn) -> None:
    for token in ("x", "a.b.c", "." * 1000, unsigned(services, advisor), forged(services, advisor)[:-2] + "AA"):
        assert reason(await by(gql, services, token).ask(VIEWER)) == "INVALID"


async def test_a_token_of_a_session_that_never_was_is_revoked(gql: Gql, services: Services, advisor: SignedIn) -> None:
    token = forged(services, advisor, sid=str(UUID(int=7)))
    assert reason(await by(gql, services, token).ask(VIEWER)) == "REVOKED"


async def test_signing_out_ends_this_session_at_once_and_no_other(
    gql: Gql, services: Services, make: Make, advisor: SignedIn, session: Any
) -> None:
    mine = by(gql, services, session["accessToken"])
    assert (await mine.run(SIGN_OUT))["signOut"] == {"signedOut": True}
    assert reason(await mine.ask(VIEWER)) == "REVOKED"
    assert reason(await gql.ask(REFRESH, token=session["refreshToken"])) == "REVOKED"
    assert (await gql.as_(advisor).run(VIEWER))["viewer"]["user"] == {"email": advisor.user.email}
    revoked = await make.connection.fetch("select id from sessions where revoked_at is not null")
    assert len(revoked) == 1


async def test_signing_out_needs_a_session(gql: Gql) -> None:
    assert reason(await gql.ask(SIGN_OUT)) == "MISSING"


async def test_the_viewer_says_what_it_may_do(gql: Gql, make: Make) -> None:
    for role in Role:
        viewer = (await gql.as_(await make.user(role)).run(VIEWER))["viewer"]
        assert viewer["role"] == role
        assert set(viewer["can"]) == ALLOWED[role]


async def test_the_viewer_has_books_and_a_calendar_day_of_its_own(gql: Gql, make: Make, services: Services) -> None:
    clock = moved(services)
    book = await make.book()
    west, east = [await make.user(Role.ADVISOR, None, book, time_zone=f"Etc/GMT{hours}") for hours in ("+12", "-14")]
    days = set()
    for user in (west, east):
        viewer = (await gql.as_(user).run(VIEWER))["viewer"]
        assert viewer["books"] == [{"name": book.name}]
        days.add(viewer["today"])
    assert days == {(await make.viewer(user)).today(clock()).isoformat() for user in (west, east)}
    assert len(days) == 2


async def test_the_anonymous_are_told_to_sign_in(gql: Gql) -> None:
    for document in (
        "{ viewer { name } }",
        "{ clients { totalCount } }",
        f'{{ node(id: "{"client_" + "0" * 32}") {{ id }} }}',
    ):
        assert reason(await gql.ask(document)) == "MISSING"


async def test_users_are_read_by_their_ids(gql: Gql, make: Make, advisor: SignedIn) -> None:
    other = await make.user(Role.SUPERVISOR, await make.team())
    document = "query ($id: ID!) { node(id: $id) { ... on User { name team { id unit { id } } unit { id } } } }"
    found = (await gql.as_(advisor).run(document, id=id_of(other.user)))["node"]
    assert found["name"] == other.user.name
    assert found["team"]["unit"] == found["unit"]


async def test_the_session_of_a_request_is_read_once(gql: Gql, advisor: SignedIn, services: Services) -> None:
    statements: list[str] = []
    with services.doors.database.observed(statements.append):
        await gql.as_(advisor).run("{ a: viewer { role } b: viewer { role } clients { nodes { name } } }")
    assert sum("viewer_of" in text for text in statements) == 1
