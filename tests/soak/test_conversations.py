"""A thousand runs, by clients that cut their sockets again and again, while a server is killed."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from persistence.embedded import EmbeddedServer
from tests.support.interruptions import (
    MODELS,
    Client,
    check_heard,
    check_killed,
    check_stored,
    growing,
    serving,
    summary,
    users_of,
)

RUNS = int(os.environ.get("SOAK_RUNS", "1000"))
# So many runs of each user are under way at once, as many as a user may have.
LANES = 5
USERS = int(os.environ.get("SOAK_TALKERS", "12"))
# Seconds; a machine that does other things as well takes its time.
LONGEST = 1_800

pytestmark = pytest.mark.soak


async def one_after_another(clients: Iterator[Client]) -> None:
    for client in clients:
        await client.go()


def lanes_of(clients: Sequence[Client], lanes: int) -> list[Iterator[Client]]:
    return [iter(clients[lane::lanes]) for lane in range(lanes)]


@pytest.mark.parametrize("model", MODELS)
async def test_no_word_is_lost_or_repeated_and_no_tool_used_twice(
    tmp_path: Path, database_url: str, cluster: EmbeddedServer, model: str
) -> None:
    # Less than there are under way, so that both servers have some of them.
    at_once = str(USERS * LANES * 2 // 3)
    async with serving(tmp_path, Path(cluster.home), database_url, model, RUNS_AT_ONCE=at_once) as (servers, make):
        users = await users_of(make, USERS)
        clients = [
            Client(servers, users[number % USERS], f"run {number}", asks=number % 2 == 0) for number in range(RUNS)
        ]
        talking = [asyncio.create_task(one_after_another(lane)) for lane in lanes_of(clients, USERS * LANES)]
        await growing(clients, RUNS // 2, LONGEST)
        killed = await servers.kill()
        await asyncio.gather(*talking)
        again = await check_stored(make, clients)
    for client in clients:
        check_heard(client)
    check_killed(clients, killed)
    print(summary(clients, killed))  # noqa: T201 - shown by `pytest -s`
    assert again > 0
    # The quicker the answers, the fewer are cut.
    assert sum(client.cuts for client in clients) > RUNS // 5
