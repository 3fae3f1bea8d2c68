"""What somebody tries who wants in: guesses by the hundred, copied tokens, forged ones; over real HTTP."""

import asyncio
import base64
import json
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, Final

import httpx
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.applications import Starlette

from domain.identity import ISSUER, Passwords
from graph.app import make_app
from graph.context import Services
from graph.http.schema import Schema
from graph.settings import Settings
from tests.factories.firm import PASSWORD, Make, SignedIn
from tests.graph.test_identity import REFRESH, SIGN_IN, SIGN_OUT, VIEWER, forged, sign_in
from tests.support.clock import moved, stopped
from tests.support.gql import Answer, Gql
from tests.support.served import Served, served, socket_to
from tests.support.stage import PATIENT

GRAPHQL: Final = "application/graphql-response+json"
# How many guess at once, and how often: small sizes here, large ones in the soak.
FEW: Final = 50
SIZES: Final = [FEW, pytest.param(500, marks=pytest.mark.soak)]


class Http:
    """A client over real HTTP."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self.client = client
        self.url = f"{url}/graphql"

    async def post(self, document: str, bearer: str | None = None, /, **variables: Any) -> httpx.Response:
        """The whole response."""
        headers = {"accept": GRAPHQL, **({"authorization": f"Bearer {bearer}"} if bearer else {})}
        return await self.client.post(self.url, json={"query": document, "variables": variables}, headers=headers)

    async def ask(self, document: str, bearer: str | None = None, /, **variables: Any) -> Answer:
        """The body of the answer, which tells nothing of what lies beneath."""
        response = await self.post(document, bearer, **variables)
        assert "Traceback" not in response.text
        return Answer(response.json())


@asynccontextmanager
async def http(address: Served) -> AsyncIterator[Http]:
    limits = httpx.Limits(max_connections=50, max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=60, limits=limits) as client:
        yield Http(client, address.url)


@pytest.fixture
async def advisor(make: Make) -> SignedIn:
    return await make.advisor()


@pytest.fixture
async def outside(live: Served) -> AsyncIterator[Http]:
    """Somebody outside."""
    async with http(live) as client:
        yield client


def refusal(response: httpx.Response) -> tuple[int, str, str]:
    """Status, code and reason of a request that is refused whole."""
    (error,) = response.json()["errors"]
    assert "data" not in response.json()
    assert response.headers["www-authenticate"] == "Bearer"
    return response.status_code, error["extensions"]["code"], error["extensions"]["reason"]


async def test_guesses_one_after_the_other_are_slowed_to_a_few_an_hour(
    outside: Http, services: Services, advisor: SignedIn
) -> None:
    clock = stopped(services)
    looked_at, waited = 0, 0
    while waited < 3_600:
        answer = await outside.ask(SIGN_IN, email=advisor.user.email, password=f"guess {looked_at}")
        if answer.codes == ["UNAUTHENTICATED"]:
            looked_at += 1
            continue
        assert answer.codes == ["RATE_LIMITED"]
        seconds = answer["errors"][0]["extensions"]["retryAfter"]
        assert 1 <= seconds <= 900
        waited += seconds
        clock.move(seconds=seconds)
    # Five at once, ten while the wait doubles, then four an hour.
    assert looked_at <= 5 + 10 + 4


def check_looked_at(answers: list[Answer], most: int) -> None:
    """So many passwords were looked at and no more; all others are told to wait, or to come back, if they are many."""
    codes = [code for answer in answers for code in answer.codes]
    assert len(codes) == len(answers)
    if len(answers) > FEW:
        assert codes.count("UNAUTHENTICATED") <= most
        assert set(codes) <= {"UNAUTHENTICATED", "RATE_LIMITED", "UNAVAILABLE"}
    else:
        assert codes.count("UNAUTHENTICATED") == most
        assert codes.count("RATE_LIMITED") == len(answers) - most


@pytest.mark.parametrize("guesses", SIZES)
@pytest.mark.parametrize("known", [True, False])
async def test_many_guesses_at_once_are_no_more_than_a_few(
    outside: Http, services: Services, advisor: SignedIn, guesses: int, *, known: bool
) -> None:
    stopped(services)
    email = advisor.user.email if known else "nobody@steward.example"
    asked = [outside.ask(SIGN_IN, email=email, password=f"guess {number}") for number in range(guesses)]
    *answers, others = await asyncio.gather(*asked, outside.ask("{ __typename }"))
    # Others are answered meanwhile.
    assert others.data == {"__typename": "Query"}
    check_looked_at(answers, 5)


async def test_the_right_password_among_many_guesses_at_once_is_rarely_looked_at(
    outside: Http, services: Services, advisor: SignedIn
) -> None:
    stopped(services)
    passwords = [*(f"guess {number}" for number in range(6)), *[PASSWORD] * 20]
    for password in passwords[:6]:
        await outside.ask(SIGN_IN, email=advisor.user.email, password=password)
    late = await asyncio.gather(
        *(outside.ask(SIGN_IN, email=advisor.user.email, password=password) for password in passwords[6:])
    )
    assert {code for answer in late for code in answer.codes} == {"RATE_LIMITED"}


@pytest.mark.parametrize("guesses", SIZES)
async def test_one_address_guesses_at_few_accounts(outside: Http, services: Services, guesses: int) -> None:
    stopped(services)
    answers = await asyncio.gather(
        *(outside.ask(SIGN_IN, email=f"user{number}@steward.example", password="a guess") for number in range(guesses))
    )
    check_looked_at(answers, 30)


async def test_a_known_and_an_unknown_address_ask_the_same_of_the_database(
    gql: Gql, services: Services, advisor: SignedIn
) -> None:
    asked: dict[str, list[str]] = {}
    # Once before, for what is made at the first use alone.
    for email in (advisor.user.email, "nobody@steward.example") * 2:
        asked[email] = []
        with services.doors.database.observed(asked[email].append):
            assert (await gql.ask(SIGN_IN, email=email, password="not the password")).codes == ["UNAUTHENTICATED"]
    known, unknown = asked.values()
    assert known == unknown


@pytest.fixture
async def slow(settings: Settings, services: Services, schema: Schema) -> AsyncIterator[Served]:
    """The application as it is in earnest: with a hash that costs what it should, but with guesses for nothing."""
    rules = msgspec.structs.replace(services.admissions, limits=PATIENT)
    earnest = msgspec.structs.replace(services, passwords=Passwords(), admissions=rules)
    app: Starlette = make_app(settings, earnest, schema=schema)
    async with served(app) as address:
        yield address


@pytest.mark.soak
async def test_signing_in_takes_as_long_for_an_unknown_address(make: Make, slow: Served, advisor: SignedIn) -> None:
    await make.connection.execute("update credentials set password_hash = $1", Passwords().hash(PASSWORD))

    async def seconds(email: str) -> float:
        began = perf_counter()
        assert (await client.ask(SIGN_IN, email=email, password="not the password")).codes == ["UNAUTHENTICATED"]
        return perf_counter() - began

    async with http(slow) as client:
        pairs = [(await seconds(advisor.user.email), await seconds("nobody@steward.example")) for _ in range(200)]
    known, unknown = (statistics.median(times) for times in zip(*pairs, strict=True))
    assert abs(known - unknown) < 0.05 * known


async def test_a_thief_of_a_refresh_token_is_out_as_soon_as_it_is_used_twice(
    outside: Http, gql: Gql, live: Served, advisor: SignedIn
) -> None:
    session = await sign_in(gql, advisor.user.email)
    stolen = session["refreshToken"]
    thief = (await outside.ask(REFRESH, token=stolen)).data["refreshSession"]["session"]
    assert (await outside.ask(VIEWER, thief["accessToken"])).data["viewer"]
    async with socket_to(live, thief["accessToken"]) as socket:
        # The owner comes with the same token: one of the two has copied it, so both are out.
        mine = await outside.ask(REFRESH, token=stolen)
        assert mine["errors"][0]["extensions"]["reason"] == "REVOKED"
        assert await socket.closed(2) == 4403
    assert refusal(await outside.post(VIEWER, thief["accessToken"])) == (401, "UNAUTHENTICATED", "REVOKED")
    assert refusal(await outside.post(VIEWER, session["accessToken"])) == (401, "UNAUTHENTICATED", "REVOKED")
    last = await outside.ask(REFRESH, token=thief["refreshToken"])
    assert last["errors"][0]["extensions"]["reason"] == "REVOKED"
    # Another session of the same user is none of this one's affair.
    assert (await outside.ask(VIEWER, advisor.token)).data["viewer"]
    assert await sign_in(gql, advisor.user.email)


async def test_a_thief_who_comes_second_ends_the_session_too(outside: Http, gql: Gql, advisor: SignedIn) -> None:
    session = await sign_in(gql, advisor.user.email)
    mine = (await outside.ask(REFRESH, token=session["refreshToken"])).data["refreshSession"]["session"]
    thief = await outside.ask(REFRESH, token=session["refreshToken"])
    assert thief["errors"][0]["extensions"]["reason"] == "REVOKED"
    assert refusal(await outside.post(VIEWER, mine["accessToken"]))[2] == "REVOKED"


async def test_fifty_uses_of_one_refresh_token_at_once_leave_no_session(
    outside: Http, gql: Gql, make: Make, advisor: SignedIn
) -> None:
    session = await sign_in(gql, advisor.user.email)
    answers = await asyncio.gather(*(outside.ask(REFRESH, token=session["refreshToken"]) for _ in range(50)))
    assert sum("errors" not in answer for answer in answers) <= 1
    open_ones = "select count(*) from sessions where user_id = $1 and revoked_at is null and id <> $2"
    assert await make.connection.fetchval(open_ones, advisor.user.id, advisor.session.id) == 0


async def test_an_unexpired_token_of_a_revoked_session_opens_nothing(
    outside: Http, gql: Gql, services: Services, make: Make, advisor: SignedIn
) -> None:
    sessions = [await make.session(advisor.user) for _ in range(2)]
    await gql.as_(sessions[0]).run(SIGN_OUT)
    own = gql.as_(advisor)
    await own.change("revokeOtherSessions", "revoked")
    for lost in sessions:
        assert services.tokens.read(lost.token, services.doors.clock()).session_id == lost.session.id
        for document in (VIEWER, "{ clients { totalCount } }", "{ __typename }", SIGN_OUT):
            assert refusal(await outside.post(document, lost.token)) == (401, "UNAUTHENTICATED", "REVOKED")


def encoded(part: Any) -> str:
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def retold(services: Services, advisor: SignedIn, **header: Any) -> str:
    """A good token under another header, whose signature is left out, or that of the token as it was."""
    _, claims, signature = forged(services, advisor).split(".")
    kept = header.pop("signature", signature)
    return f"{encoded({'typ': 'JWT', **header})}.{claims}.{kept}"


def claims_of(services: Services, advisor: SignedIn) -> dict[str, Any]:
    return dict(jwt.decode(forged(services, advisor), options={"verify_signature": False}))


def by_algorithm(services: Services, advisor: SignedIn, algorithm: str) -> str:
    """A good token's claims, signed by another algorithm, with a key that fits it."""
    keys: dict[str, Any] = {
        "RS256": rsa.generate_private_key(65537, 2048),
        "PS256": rsa.generate_private_key(65537, 2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
    }
    # The same secret where there is one, so that the algorithm alone can be the reason.
    secret = services.tokens._secret  # noqa: SLF001 - as above
    return jwt.encode(claims_of(services, advisor), keys.get(algorithm, secret), algorithm=algorithm)


# PyJWT warns that the secret is short for them; so it would be, if they were taken.
@pytest.mark.filterwarnings("ignore:The HMAC key is")
@pytest.mark.parametrize("algorithm", ["HS384", "HS512", "RS256", "PS256", "ES256"])
async def test_a_token_by_another_algorithm_is_none(
    outside: Http, services: Services, advisor: SignedIn, algorithm: str
) -> None:
    token = by_algorithm(services, advisor, algorithm)
    assert refusal(await outside.post(VIEWER, token)) == (401, "UNAUTHENTICATED", "INVALID")


@pytest.mark.parametrize(
    "header",
    [
        *(
            {"alg": name, "signature": signature}
            for name in ("none", "None", "NONE", "nOnE", "")
            for signature in ("", "AA")
        ),
        {"alg": "none"},
        {"alg": "RS256"},
        {"alg": None},
        {"alg": ["HS256", "none"]},
        {"signature": ""},
        {"alg": "HS256", "crit": ["exp"], "exp": 0},
        {"alg": "HS256", "kid": "../../../../dev/null"},
        {"alg": "HS256", "jku": "https://evil.example/keys", "jwk": {"kty": "oct", "k": "AA"}},
        {"alg": "HS256", "b64": False, "crit": ["b64"]},
        {"alg": "HS256", "zip": "DEF"},
    ],
    ids=json.dumps,
)
async def test_a_token_that_says_how_it_wants_to_be_read_is_none(
    outside: Http, services: Services, advisor: SignedIn, header: dict[str, Any]
) -> None:
    token = retold(services, advisor, **header)
    assert refusal(await outside.post(VIEWER, token)) == (401, "UNAUTHENTICATED", "INVALID")


async def test_a_public_key_is_no_secret_to_sign_with(outside: Http, services: Services, advisor: SignedIn) -> None:
    public = rsa.generate_private_key(65537, 2048).public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for key in (pem, b"", b"secret", b"\x00" * 32):
        head, body = encoded({"alg": "HS256", "typ": "JWT"}), encoded(claims_of(services, advisor))
        signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
            f"{head}.{body}".encode(), key
        )
        token = f"{head}.{body}.{encoded(signature)}"
        assert refusal(await outside.post(VIEWER, token)) == (401, "UNAUTHENTICATED", "INVALID")


@pytest.mark.parametrize(
    ("differing", "reason"),
    [
        ({"key": "another key of at least thirty-two characters"}, "INVALID"),
        ({"aud": "steward: second factor"}, "INVALID"),
        ({"aud": ["another", "service"]}, "INVALID"),
        ({"exp": 1}, "EXPIRED"),
        ({"exp": None}, "INVALID"),
        ({"sub": "00000000-0000-0000-0000-000000000000"}, None),
        ({"sid": "00000000-0000-0000-0000-000000000000"}, "REVOKED"),
    ],
    ids=str,
)
async def test_a_token_of_other_claims_opens_nothing_over_http_and_no_socket(
    outside: Http, services: Services, live: Served, advisor: SignedIn, differing: dict[str, Any], reason: str | None
) -> None:
    token = forged(services, advisor, **differing)
    if reason is None:
        # Who it is, the session says, not the token.
        assert (await outside.ask(VIEWER, token)).data["viewer"]["user"]["email"] == advisor.user.email
        return
    assert refusal(await outside.post(VIEWER, token)) == (401, "UNAUTHENTICATED", reason)
    with pytest.raises(Exception, match="4401"):
        async with socket_to(live, token):
            raise AssertionError("the socket was opened")


async def test_an_expired_token_opens_nothing_over_http(
    outside: Http, gql: Gql, services: Services, advisor: SignedIn
) -> None:
    session = await sign_in(gql, advisor.user.email)
    moved(services).move(minutes=30, seconds=1)
    assert refusal(await outside.post(VIEWER, session["accessToken"])) == (401, "UNAUTHENTICATED", "EXPIRED")


async def test_a_refresh_token_is_no_access_token_nor_the_other_way_round(
    outside: Http, gql: Gql, advisor: SignedIn
) -> None:
    session = await sign_in(gql, advisor.user.email)
    assert refusal(await outside.post(VIEWER, session["refreshToken"])) == (401, "UNAUTHENTICATED", "INVALID")
    answer = await outside.ask(REFRESH, token=session["accessToken"])
    assert answer["errors"][0]["extensions"]["reason"] == "INVALID"
    assert ISSUER in json.dumps(jwt.decode(session["accessToken"], options={"verify_signature": False}))
