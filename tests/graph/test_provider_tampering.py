"""What a sign-in by a provider must stand: every part of it changed, replayed, or not there."""

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse

from domain.errors import Unavailable
from domain.providers import FlowSecrets
from domain.providers.opening import opened
from domain.providers.outside import Outside
from graph.context import Services
from tests.factories.firm import Make
from tests.support.clock import moved
from tests.support.flows import begun, configs, journey, stated
from tests.support.gql import Answer, Gql
from tests.support.openid import CLIENT_ID, OpenIdServer, providing

SECONDS = 1.0  # for how long we wait for a provider
PATIENCE = 60  # far longer than that, for a machine that is busy with other tests
# Until then a slow provider has not answered.
OVER = asyncio.Event()
# For tests that move our clock, and not the provider's.
LASTING = {"exp": 4_000_000_000}


@pytest.fixture
async def provider() -> AsyncIterator[OpenIdServer]:
    server = OpenIdServer()
    OVER.clear()
    async with providing(server):
        yield server
        OVER.set()


@pytest.fixture
async def services(services: Services, provider: OpenIdServer) -> AsyncIterator[Services]:
    places = {name: stated(issuer=provider.url) for name in ("bank", "other")}
    async with opened(configs(**places), Outside(seconds=SECONDS, largest=50_000)) as providers:
        yield msgspec.structs.replace(services, providers=providers)


def refused(answer: Answer) -> None:
    """That the answer is the one of all sign-ins that were not proved."""
    assert answer.codes == ["UNAUTHENTICATED"]
    error = answer["errors"][0]
    assert error["extensions"]["reason"] == "INVALID"
    assert error["message"].startswith("The sign-in was not begun in this browser, ")


async def why(make: Make) -> str:
    """Why the last proof was none, as the trail tells it."""
    return str(
        await make.connection.fetchval(
            "select after ->> 'outcome' from audit_events where action = 'providers.tried' order by id desc limit 1"
        )
    )


async def nobody_came_in(make: Make) -> bool:
    return not await make.connection.fetchval("select count(*) from sessions")


@pytest.mark.parametrize("part", ["flow", "state"])
async def test_another_flow_or_state_is_none(gql: Gql, make: Make, part: str) -> None:
    way = await journey(gql)
    other = await journey(gql)
    for wrong in (other.given()[part], way.given()[part][:-1], "", "x" * 10_000, way.given()[part].upper()):
        refused(await way.complete(**{part: wrong}))
        assert await why(make) == "FLOW"
    assert await nobody_came_in(make)
    # What was wrong has not used it up.
    assert (await way.entered())["session"]


async def test_the_browser_of_another_does_not_complete_it(gql: Gql, make: Make) -> None:
    # Login CSRF: the address that the attacker came back with, opened in the browser of somebody else.
    mine, attackers = await journey(gql), await journey(gql)
    refused(await mine.complete(state=attackers.back["state"], code=attackers.back["code"]))
    # Injection: the stolen code of somebody else, in a flow of the attacker's own.
    refused(await attackers.complete(code=mine.back["code"]))
    assert await why(make) == "CODE"
    assert await nobody_came_in(make)


async def test_a_flow_is_good_once_even_for_two_at_once(gql: Gql, make: Make) -> None:
    way = await journey(gql)
    answers = await asyncio.gather(*(way.complete() for _ in range(4)))
    good = [answer for answer in answers if "errors" not in answer]
    assert len(good) == 1
    for answer in answers:
        if answer is not good[0]:
            refused(answer)
    refused(await way.complete())
    assert await make.connection.fetchval("select count(*) from sessions") == 1


async def test_a_code_is_good_once(gql: Gql, make: Make) -> None:
    first, second = await journey(gql), await journey(gql)
    assert (await first.entered())["session"]
    refused(await second.complete(code=first.back["code"]))
    assert await why(make) == "CODE"


@pytest.mark.parametrize("code", ["", "no code", "x" * 5_000, "ä\r\nHost: x", "a&code_verifier=b"], ids=len)
async def test_what_is_no_code_is_none(gql: Gql, make: Make, code: str) -> None:
    refused(await (await journey(gql)).complete(code=code))
    assert await why(make) == "CODE"


async def test_a_flow_ends_after_ten_minutes(gql: Gql, make: Make, services: Services, provider: OpenIdServer) -> None:
    clock = moved(services)
    provider.claims = LASTING
    way, late = await journey(gql), await journey(gql)
    clock.move(minutes=9, seconds=50)
    assert (await way.entered())["session"]
    clock.move(seconds=11)
    refused(await late.complete())
    assert await why(make) == "FLOW"


async def test_a_code_without_its_verifier_is_none(gql: Gql, provider: OpenIdServer) -> None:
    way = await journey(gql)
    provider.codes[way.back["code"]]["code_challenge"] = "x" * 43
    refused(await way.complete())


async def test_a_code_of_another_issuer_is_not_shown_to_this_one(gql: Gql, make: Make, provider: OpenIdServer) -> None:
    way = await journey(gql)
    asked = len(provider.asked)
    refused(await way.complete(issuer="https://another.example"))
    assert await why(make) == "ISSUER"
    assert provider.asked[asked:] == []
    assert (await (await journey(gql)).entered(issuer=provider.url))["session"]


async def test_where_a_provider_names_itself_it_must(gql: Gql, provider: OpenIdServer) -> None:
    provider.document = {"authorization_response_iss_parameter_supported": True}
    refused(await (await journey(gql)).complete())
    assert (await (await journey(gql)).entered(issuer=provider.url))["session"]


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"iss": "https://another.example"}, "TOKEN_ISS"),
        ({"iss": ...}, "TOKEN_ISS"),
        ({"iss": ["x"]}, "TOKEN_ISS"),
        ({"aud": "another client"}, "TOKEN_AUD"),
        ({"aud": ["another client", "a third"]}, "TOKEN_AUD"),
        ({"aud": [CLIENT_ID, "another client"]}, "TOKEN_AZP"),
        ({"aud": [CLIENT_ID, "another client"], "azp": "another client"}, "TOKEN_AZP"),
        ({"aud": ...}, "TOKEN_AUD"),
        ({"exp": 1_700_000_000}, "TOKEN_EXP"),
        ({"exp": ...}, "TOKEN_EXP"),
        ({"exp": "soon"}, "TOKEN_EXP"),
        ({"exp": True}, "TOKEN_EXP"),
        ({"iat": 4_000_000_000}, "TOKEN_IAT"),
        ({"nbf": 4_000_000_000}, "TOKEN_NBF"),
        ({"nonce": "another"}, "TOKEN_NONCE"),
        ({"nonce": ...}, "TOKEN_NONCE"),
        ({"nonce": None}, "TOKEN_NONCE"),
        ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "InvalidClaimError"),
        ({"sub": ...}, "TOKEN_SUB"),
        ({"sub": 5}, "TOKEN_SUB"),
        ({"sub": ""}, "SUBJECT"),
        ({"sub": "x" * 256}, "SUBJECT"),
        ({"sub": "x\u0000"}, "SUBJECT"),
    ],
    ids=str,
)
async def test_a_token_that_says_anything_else_proves_nothing(
    gql: Gql, make: Make, provider: OpenIdServer, claims: dict[str, Any], told: str
) -> None:
    provider.claims = claims
    refused(await (await journey(gql)).complete())
    assert await why(make) == told
    assert await nobody_came_in(make)
    provider.claims = {}
    assert (await (await journey(gql)).entered())["session"]


async def test_clocks_may_differ_by_a_minute(gql: Gql, services: Services) -> None:
    clock = moved(services)
    clock.move(seconds=300 + 50)
    assert (await (await journey(gql)).entered())["session"]
    clock.move(seconds=20)
    refused(await (await journey(gql)).complete())
    clock.move(seconds=-370 - 50)
    assert (await (await journey(gql)).entered())["session"]
    clock.move(seconds=-20)
    refused(await (await journey(gql)).complete())


STRANGER = ECKey.generate_key("P-256", parameters={"kid": "first"})
# Which the library would not make without a warning.
SHORT = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that it proves nothing is the test
WEAK = RSAKey(SHORT, SHORT, {"kid": "weak"})


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def unsigned(claims: dict[str, Any]) -> str:
    """The claims under the algorithm "none"."""
    parts = [{"alg": "none"}, claims]
    return "".join(f"{encoded(json.dumps(part).encode())}." for part in parts)


def with_public_key(provider: OpenIdServer) -> Callable[[dict[str, Any]], str]:
    """The HMAC of the claims with the public key, which everybody knows, for a secret."""

    def forged(claims: dict[str, Any]) -> str:
        parts = [{"alg": "HS256", "kid": "first"}, claims]
        signed = ".".join(encoded(json.dumps(part).encode()) for part in parts)
        return f"{signed}.{encoded(hmac.digest(provider.keys[0].as_pem(private=False), signed.encode(), 'sha256'))}"

    return forged


@pytest.mark.parametrize(
    ("forge", "told"),
    [
        (unsigned, "UnsupportedAlgorithmError"),
        (lambda claims: jwt.encode({"alg": "ES256", "kid": "first"}, claims, STRANGER), "BadSignatureError"),
        (lambda claims: jwt.encode({"alg": "ES256", "kid": "unknown"}, claims, STRANGER), "InvalidKeyIdError"),
        (lambda claims: jwt.encode({"alg": "RS256", "kid": "weak"}, claims, WEAK), "InvalidKeyIdError"),
        (lambda _: "x", "DecodeError"),
        (lambda _: "a.b.c.d.e", "DecodeError"),
        (lambda _: "." * 1000, "DecodeError"),
    ],
)
async def test_a_token_that_nobody_known_has_signed_proves_nothing(
    gql: Gql, make: Make, provider: OpenIdServer, forge: Callable[[dict[str, Any]], str], told: str
) -> None:
    provider.instead["/keys"] = lambda: JSONResponse(
        {"keys": [*(key.as_dict(private=False) for key in (provider.keys[0], WEAK)), {"kty": "oct", "k": "AAAA"}]}
    )
    provider.forge = forge
    refused(await (await journey(gql)).complete())
    assert await why(make) == told
    assert await nobody_came_in(make)


async def test_a_public_key_is_no_secret(gql: Gql, make: Make, provider: OpenIdServer) -> None:
    provider.forge = with_public_key(provider)
    refused(await (await journey(gql)).complete())
    assert await why(make) == "UnsupportedAlgorithmError"


async def test_a_new_key_is_read_when_it_is_used_but_not_for_every_stranger(
    gql: Gql, services: Services, provider: OpenIdServer
) -> None:
    clock = moved(services)
    provider.claims = LASTING
    assert (await (await journey(gql)).entered())["session"]
    provider.keys.append(ECKey.generate_key("P-256", parameters={"kid": "second"}))
    # Read a moment ago: what is unknown stays so for a minute.
    for _ in range(5):
        refused(await (await journey(gql)).complete())
    assert provider.asked.count("/keys") == 1
    clock.move(seconds=61)
    assert (await (await journey(gql)).entered())["session"]
    provider.header = {"kid": "stranger"}
    for _ in range(5):
        refused(await (await journey(gql)).complete())
    assert provider.asked.count("/keys") == 2
    assert provider.asked.count("/.well-known/openid-configuration") == 1
    clock.move(hours=1)
    provider.header = {}
    # A key that is no longer published proves nothing any more.
    del provider.keys[0]
    assert (await (await journey(gql)).entered())["session"]
    assert provider.asked.count("/.well-known/openid-configuration") == 2


async def slow() -> Response:
    await OVER.wait()
    return PlainTextResponse("late")


async def drip() -> AsyncIterator[bytes]:
    while not OVER.is_set():
        yield b" "
        await asyncio.sleep(SECONDS / 5)


async def huge() -> AsyncIterator[bytes]:
    for _ in range(1000):
        yield b" " * 10_000
        await asyncio.sleep(0)


PLACES = ["/.well-known/openid-configuration", "/token", "/keys"]


@pytest.mark.parametrize(
    "answer",
    [
        lambda: PlainTextResponse("broken", 500),
        lambda: PlainTextResponse("gone", 404),
        lambda: PlainTextResponse("no JSON"),
        lambda: JSONResponse(["x"]),
        lambda: PlainTextResponse("[" * 40_000),
        lambda: RedirectResponse("http://127.0.0.1:9/elsewhere"),
        lambda: Response(b"\x1f\x8b\x08", headers={"content-encoding": "gzip"}),
        slow,
        lambda: StreamingResponse(drip()),
        lambda: StreamingResponse(huge()),
    ],
    ids=["500", "404", "text", "list", "deep", "redirect", "encoded", "slow", "drip", "huge"],
)
@pytest.mark.parametrize("place", PLACES)
async def test_a_provider_that_does_not_do_its_part_is_unavailable(
    gql: Gql, make: Make, services: Services, provider: OpenIdServer, place: str, answer: Callable[[], Any]
) -> None:
    clock = moved(services)
    if place != PLACES[0]:
        await begun(gql)
    provider.instead[place] = answer
    async with asyncio.timeout(PATIENCE):
        if place == PLACES[0]:
            document = 'mutation { beginProviderSignIn(input: {provider: "bank"}) { flow } }'
            found = await gql.ask(document)
        else:
            found = await (await journey(gql)).complete()
    assert found.codes == ["UNAVAILABLE"]
    assert found["errors"][0]["extensions"]["retryAfter"]
    assert await nobody_came_in(make)
    provider.instead.clear()
    # It is well, and seconds later people come in.
    clock.move(seconds=5)
    assert (await (await journey(gql)).entered())["session"]


async def test_nobody_waits_for_what_has_just_failed_for_others(
    gql: Gql, services: Services, provider: OpenIdServer
) -> None:
    clock = moved(services)
    provider.instead[PLACES[0]] = slow
    document = 'mutation { beginProviderSignIn(input: {provider: "bank"}) { flow } }'
    async with asyncio.timeout(PATIENCE):
        answers = await asyncio.gather(*(gql.ask(document) for _ in range(10)))
    assert [answer.codes for answer in answers] == [["UNAVAILABLE"]] * 10
    assert len(provider.asked) == 1
    clock.move(seconds=5)
    provider.instead.clear()
    assert (await (await journey(gql)).entered())["session"]


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://another.example"},
        {"token_endpoint": "http://bank.example/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": "https://user:password@bank.example/token"},
        {"token_endpoint": 5},
        {"jwks_uri": "https://[bad"},
    ],
    ids=str,
)
async def test_a_document_that_names_unsafe_places_is_not_followed(
    gql: Gql, provider: OpenIdServer, document: dict[str, Any]
) -> None:
    provider.document = document
    answer = await gql.ask('mutation { beginProviderSignIn(input: {provider: "bank"}) { flow } }')
    assert answer.codes == ["UNAVAILABLE"]


async def test_a_provider_that_is_gone_is_unavailable(services: Services) -> None:
    async with opened(configs(bank=stated(issuer="http://127.0.0.1:9"))) as providers:
        with pytest.raises(Unavailable):
            await providers.named("bank").authorization_url(FlowSecrets.made(), services.doors.clock(), anew=False)


async def test_a_secret_that_the_provider_declines_is_told_to_who_runs_the_server(
    gql: Gql, provider: OpenIdServer, caplog: pytest.LogCaptureFixture
) -> None:
    provider.instead["/token"] = lambda: JSONResponse({"error": "invalid_client"}, 401)
    assert (await (await journey(gql)).complete()).codes == ["UNAVAILABLE"]
    assert "SIGN_IN_PROVIDERS" in caplog.text


async def test_many_who_guess_from_an_address_have_to_wait(gql: Gql, make: Make) -> None:
    way = await journey(gql)
    answers = [await way.complete(state=f"guess {number}") for number in range(40)]
    assert answers[0].codes == ["UNAUTHENTICATED"]
    assert answers[-1].codes == ["RATE_LIMITED"]
    assert await why(make) == "RATE_LIMITED"
