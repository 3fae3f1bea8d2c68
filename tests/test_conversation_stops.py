"""A server that is told to stop in the middle of answers: it sends everybody elsewhere, and hands its runs on."""

import asyncio
from pathlib import Path

import pytest

from persistence.embedded import EmbeddedServer
from tests.support.interruptions import (
    MODELS,
    Client,
    check_heard,
    check_stored,
    growing,
    serving,
    users_of,
)

CLIENTS = 6
# So few for a process that both are needed.
AT_ONCE = "3"
# Seconds a word: an answer takes longer than a server that ends lets its runs go on.
PACE = 0.4
# Codes that clients come back after.
AWAY = {1012, 1013}


@pytest.mark.parametrize("model", MODELS)
async def test_answers_go_on_elsewhere_when_a_server_is_told_to_stop(
    tmp_path: Path, database_url: str, cluster: EmbeddedServer, model: str
) -> None:
    home = Path(cluster.home)
    async with serving(tmp_path, home, database_url, model, pace=PACE, RUNS_AT_ONCE=AT_ONCE) as (servers, make):
        users = await users_of(make, CLIENTS // 2)
        stopping = servers.running[0]
        clients = [
            Client(servers, users[each // 2], f"{each}", asks=each % 2 == 0, begins_at=stopping)
            for each in range(CLIENTS)
        ]
        talking = [asyncio.create_task(client.go()) for client in clients]
        await growing(clients, CLIENTS)
        assert await servers.held() == len(servers.running)
        assert await servers.stop() == 0
        # Nothing is left in the name of the one that has gone, so that nobody waits for its heart to beat.
        assert await servers.held() <= len(servers.running)
        await asyncio.gather(*talking)
        again = await check_stored(make, clients)
    for client in clients:
        check_heard(client)
        assert len(client.closed) == 1
        assert set(client.closed) <= AWAY
    assert any(client.has_heard_all for client in clients)
    # Those of the server that ended, and no others.
    assert 0 < again <= int(AT_ONCE)
