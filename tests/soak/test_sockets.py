import asyncio
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from graph.demo_firm import DEMO_PASSWORD
from tests.support.probing import GENEROUS
from tests.support.served import Served, Socket
from tests.support.steward import Steward, ask, sign_in

SOCKETS = int(os.environ.get("SOAK_SOCKETS", "2000"))
CLIENT = """{
    clients(first: 1, filter: {statuses: [ACTIVE]}) {
        nodes { id version kycStatus book { memberships { kind user { email } } } }
    }
}"""
CHANGE = """mutation ($input: UpdateClientInput!) {
    updateClient(input: $input) { client { version } userErrors { code } }
}"""
FOLLOW = "subscription { notifications { cursor notification { kind client { id } } } }"

pytestmark = pytest.mark.soak


@pytest.fixture
def steward(tmp_path: Path) -> Iterator[Steward]:
    made = Steward(tmp_path / "state")
    assert made.run("demo", "--clients", "20").returncode == 0
    yield made
    made.end()


@pytest.fixture
def many_files() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < SOCKETS + 200:
        pytest.skip(f"{SOCKETS} sockets need more open files than this machine allows ({hard}).")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, SOCKETS * 2 + 1000), hard))


async def opened(address: Served, token: str) -> Socket:
    connection = await connect(address.socket_url, subprotocols=[Subprotocol("graphql-transport-ws")], open_timeout=60)
    client = Socket(connection)
    await client.send(type="connection_init", payload={"authorization": f"Bearer {token}"})
    assert (await client.receive(60))["type"] == "connection_ack"
    await client.subscribe(FOLLOW)
    return client


@pytest.mark.usefixtures("many_files")
async def test_every_socket_hears_of_a_change(steward: Steward) -> None:
    _, address = steward.serve(**GENEROUS)
    admin = sign_in(address, "admin@steward.example", DEMO_PASSWORD)
    client = ask(address, CLIENT, admin)["data"]["clients"]["nodes"][0]
    members = client["book"]["memberships"]
    advisor = next(each["user"]["email"] for each in members if each["kind"] == "ADVISOR")
    token = sign_in(address, advisor, DEMO_PASSWORD)
    sockets: list[Socket] = []
    for _ in range(0, SOCKETS, 50):
        sockets += await asyncio.gather(*(opened(Served(address), token) for _ in range(min(50, SOCKETS))))
    await asyncio.sleep(3)
    status = "EXPIRED" if client["kycStatus"] == "PENDING" else "PENDING"
    given = {"clientId": client["id"], "version": client["version"], "details": {"kycStatus": status}}
    changed = await asyncio.to_thread(ask, address, CHANGE, token, input=given)
    assert changed["data"]["updateClient"]["userErrors"] == []
    heard = await asyncio.gather(*(socket.next(60) for socket in sockets))
    assert {each["notifications"]["notification"]["client"]["id"] for each in heard} == {client["id"]}
    await asyncio.gather(*(socket.connection.close() for socket in sockets))
