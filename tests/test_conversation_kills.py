"""A server that is killed in the middle of answers: small here, and with a thousand runs in `tests/soak`."""

import asyncio
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

USERS = 4
# A user has five runs under way at most.
EACH = 4
# So few for a process that both are at work until the last quarter.
AT_ONCE = "4"


@pytest.mark.parametrize("model", MODELS)
async def test_answers_go_on_when_sockets_are_cut_and_a_server_is_killed(
    tmp_path: Path, database_url: str, cluster: EmbeddedServer, model: str
) -> None:
    async with serving(tmp_path, Path(cluster.home), database_url, model, RUNS_AT_ONCE=AT_ONCE) as (servers, make):
        users = await users_of(make, USERS)
        clients = [
            Client(servers, user, f"{number} {each}", asks=each % 2 == 0)
            for number, user in enumerate(users)
            for each in range(EACH)
        ]
        talking = [asyncio.create_task(client.go()) for client in clients]
        await growing(clients, len(clients) // 4)
        killed = await servers.kill()
        await asyncio.gather(*talking)
        again = await check_stored(make, clients)
    for client in clients:
        check_heard(client)
    check_killed(clients, killed)
    print(summary(clients, killed))  # noqa: T201 - shown by `pytest -s`
    assert killed.runs
    assert again > 0
    # The quicker the answers, the fewer are cut.
    assert sum(client.cuts for client in clients) > len(clients) // 8
