"""What those take who follow a conversation in which nothing happens: there are thousands of them."""

import gc
import tracemalloc
from typing import Any, Final

from graph.context import Services
from tests.benchmarks.sockets import Client, Counted, connect
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql
from tests.support.served import Served
from tests.support.talking import FOLLOW, talk, until

MANY: Final = 40
# In bytes, with the client's end, and with the transports of asyncio, which uvloop has no objects of Python for; a
# benchmark tells what a process takes.
MOST: Final = 60_000


async def followed(live: Served, who: SignedIn, conversations: list[str]) -> list[Client]:
    """A socket for each."""
    asked: list[Any] = [{"query": FOLLOW, "variables": {"conversation": each}} for each in conversations]
    return await connect(Counted(), int(live.url.rpartition(":")[2]), "/graphql", who.token, asked)


async def test_who_follows_where_nothing_happens_takes_little(
    make: Make, gql: Gql, live: Served, services: Services
) -> None:
    advisor = await make.advisor()
    conversations = [await talk(gql, advisor) for _ in range(2 * MANY)]

    async def all_follow() -> bool:
        return sum(len(group.members) for group in services.fanout.groups.values()) == len(clients)

    # What the first ones take is kept for all.
    clients = await followed(live, advisor, conversations[:MANY])
    await until(all_follow)
    gc.collect()
    tracemalloc.start()
    try:
        clients += await followed(live, advisor, conversations[MANY:])
        await until(all_follow)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    for each in clients:
        each.transport.abort()
    assert held / MANY < MOST
