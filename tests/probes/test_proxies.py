"""Where a request comes from: what a trusted proxy says, and nobody else."""

import json
import socket
from contextlib import closing
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from domain.access import Role
from tests.factories.firm import PASSWORD, SignedIn
from tests.support.probing import PROXY, Target

SIGN_IN = """mutation ($input: SignInInput!) { signIn(input: $input) { session { accessToken } } }"""
SESSIONS = "{ viewer { sessions { address current } } }"
CLIENT = "203.0.113.9"


@pytest.fixture(scope="module", autouse=True)
def second_loopback() -> None:
    with closing(socket.socket()) as tried:
        try:
            tried.bind((PROXY, 0))
        except OSError as error:
            pytest.skip(f"This machine has no second loopback address to be a proxy at: {error}")


@pytest.fixture(scope="module")
async def user(target: Target) -> SignedIn:
    return await target.make.user(Role.ADMIN)


async def seen(target: Target, user: SignedIn, local: str, **headers: str) -> str:
    """The address that the server takes a sign-in to come from."""
    transport = httpx.AsyncHTTPTransport(local_address=local)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(base_url=target.url, transport=transport, headers=named) as http:
        given = {"input": {"email": user.user.email, "password": PASSWORD}}
        begun = await http.post("/graphql", json={"query": SIGN_IN, "variables": given})
        token = begun.json()["data"]["signIn"]["session"]["accessToken"]
        answer = await http.post("/graphql", json={"query": SESSIONS}, headers={"authorization": f"Bearer {token}"})
    (current,) = [each for each in answer.json()["data"]["viewer"]["sessions"] if each["current"]]
    return str(current["address"])


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (CLIENT, CLIENT),
        (f"10.9.8.7, {CLIENT}", CLIENT),
        (f"10.9.8.7, {CLIENT}, {PROXY}", CLIENT),
        (f"10.9.8.7, {CLIENT}, {PROXY}, {PROXY}", CLIENT),
        (f"127.0.0.1, {CLIENT}", CLIENT),
        (f"{CLIENT}:5123", CLIENT),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:443", "2001:db8::7"),
        ("unknown", ""),
        ("' or 1=1 --", ""),
        ("x" * 5_000, ""),
    ],
)
async def test_the_last_address_that_is_no_proxys_is_the_clients(
    target: Target, user: SignedIn, forwarded: str, address: str
) -> None:
    """Whatever comes before it is what the client itself has written."""
    assert await seen(target, user, PROXY, x_forwarded_for=forwarded) == address


async def test_a_proxy_that_says_nothing_is_the_client(target: Target, user: SignedIn) -> None:
    assert await seen(target, user, PROXY) == PROXY


@pytest.mark.parametrize(
    "headers",
    [
        {"x_forwarded_for": CLIENT},
        {"x_forwarded_for": f"{CLIENT}, {PROXY}"},
        {"x_real_ip": CLIENT},
        {"forwarded": f"for={CLIENT};proto=https"},
        {"x_client_ip": CLIENT},
        {"true_client_ip": CLIENT},
    ],
    ids=str,
)
async def test_nobody_elses_word_is_believed(target: Target, user: SignedIn, headers: dict[str, str]) -> None:
    assert await seen(target, user, "127.0.0.1", **headers) == "127.0.0.1"


@pytest.mark.parametrize(("local", "told"), [(PROXY, True), ("127.0.0.1", False)])
async def test_a_proxy_says_whether_it_encrypts(target: Target, local: str, told: bool) -> None:  # noqa: FBT001 - an expectation
    transport = httpx.AsyncHTTPTransport(local_address=local)
    async with httpx.AsyncClient(base_url=target.url, transport=transport) as http:
        for path in ("/healthz", "/graphql", "/nowhere"):
            answer = await http.get(path, headers={"x-forwarded-proto": "https"})
            assert ("strict-transport-security" in answer.headers) is told
            assert "strict-transport-security" not in (await http.get(path)).headers


async def test_a_sockets_address_is_the_clients_too(target: Target, user: SignedIn) -> None:
    options: Any = {"local_addr": (PROXY, 0), "additional_headers": {"x-forwarded-for": f"10.9.8.7, {CLIENT}"}}
    url = f"ws://{target.host}/graphql"
    async with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], **options) as opened:
        await opened.send('{"type": "connection_init"}')
        await opened.recv()
        given = {"input": {"email": user.user.email, "password": PASSWORD}}
        asked = {"query": SIGN_IN, "variables": given}
        await opened.send(json.dumps({"type": "subscribe", "id": "1", "payload": asked}))
        token = json.loads(await opened.recv())["payload"]["data"]["signIn"]["session"]["accessToken"]
    async with target.client(token) as http:
        answer = await http.post("/graphql", json={"query": SESSIONS})
    (address,) = [each["address"] for each in answer.json()["data"]["viewer"]["sessions"] if each["current"]]
    assert address == CLIENT
