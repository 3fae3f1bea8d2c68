"""Several processes of one server, as their users run them: what they share, and how they end."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.probing import GENEROUS
from tests.support.served import Served, Socket, socket_to
from tests.support.steward import Process, Steward, ask, sign_in

PASSWORD: Final = "a password of some length"
FOLLOW: Final = "subscription { notifications { notification { announcement { title } } } }"
ANNOUNCE: Final = """mutation {
    announce(input: {kind: ANNOUNCEMENT, title: "Closed", text: "On Friday.", audience: ALL}) { userErrors { code } }
}"""
BOTH: Final = {"1", "2"}


@pytest.fixture
def steward(migrated: Steward, tmp_path: Path) -> Iterator[Steward]:
    made = Steward(tmp_path / "state", like=migrated)
    yield made
    made.end()


def children(process: Process) -> set[int]:
    """The processes that serve."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    lines = [line.split(maxsplit=2) for line in listed.splitlines()[1:]]
    return {int(pid) for pid, parent, what in lines if int(parent) == process.pid and "graph.process" in what}


def until(met: Callable[[], Any], seconds: float = 20) -> Any:
    """What is met within some seconds."""
    end = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def counted(page: str, name: str) -> Counter[str]:
    """A metric of each process, by its number; the series of one are added up."""
    with urllib.request.urlopen(f"{page}/metrics", timeout=5) as response:
        families = text_string_to_metric_families(response.read().decode())
    found: Counter[str] = Counter()
    for sample in (sample for family in families for sample in family.samples if sample.name == name):
        found[sample.labels["worker"]] += int(sample.value)
    return +found


def ready(address: str) -> bool:
    with urllib.request.urlopen(f"{address}/readyz", timeout=5) as response:
        return bool(response.status == 200)


def refuses(address: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) != 0


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


async def test_processes_share_a_port_and_hear_of_each_others_changes(steward: Steward) -> None:
    port = free_port()
    process, address = await asyncio.to_thread(lambda: steward.serve(WORKERS="2", METRICS_PORT=port, **GENEROUS))
    assert steward.printed(process).count("serving at") == 1
    assert len(children(process)) == 2
    made = steward.run("create-user", "a@steward.example", "Asha", "--password-stdin", stdin=PASSWORD + "\n")
    assert made.returncode == 0, made.stderr
    token = await asyncio.to_thread(sign_in, address, "a@steward.example", PASSWORD)
    async with AsyncExitStack() as stack:
        following: list[Socket] = []
        while len(following) < 6 or set(counted(address, "steward_subscriptions_open")) != BOTH:
            assert len(following) < 200
            following.append(await stack.enter_async_context(socket_to(Served(address), token)))
            await following[-1].subscribe(FOLLOW)
            # A round trip: by its answer the subscription is open.
            await following[-1].send(type="ping")
            assert (await following[-1].receive())["type"] == "pong"
        for _ in range(200):
            await asyncio.to_thread(ask, address, "{ viewer { name } }", token)
            if set(counted(address, "steward_requests_total")) == BOTH:
                break
        answer = await asyncio.to_thread(ask, address, ANNOUNCE, token)
        assert answer["data"]["announce"]["userErrors"] == []
        told = [await each.next() for each in following]
        assert told == [{"notifications": {"notification": {"announcement": {"title": "Closed"}}}}] * len(following)

        # Whoever is asked tells of all of them.
        open_now = counted(f"http://127.0.0.1:{port}", "steward_subscriptions_open")
        assert open_now == counted(address, "steward_subscriptions_open")
        assert open_now.total() == len(following)
        # Who wins the election works, and nobody else does.
        assert len(counted(address, "steward_jobs_total")) == 1

        process.send_signal(signal.SIGTERM)
        assert {await each.closed() for each in following} <= {1012, 1013}
    assert await asyncio.to_thread(process.wait, 20) == 0
    assert not children(process)
    assert not steward.postgres()
    assert not re.search("WARNING|ERROR|Traceback", steward.printed(process))


def test_a_killed_process_is_replaced_and_a_killed_server_leaves_nothing(steward: Steward) -> None:
    process, address = steward.serve(WORKERS="2", ANONYMOUS_REQUESTS_PER_MINUTE="30")
    before = children(process)
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    until(lambda: steward.printed(process).count("serves as process") == 3 and len(children(process)) == 2)
    assert len(children(process) - before) == 1
    assert f"(process {victim}) was killed by SIGKILL: another takes its place" in steward.printed(process)
    assert all(ready(address) for _ in range(20))

    # One budget, whichever of them is asked.
    answers = [ask(address, "{ __typename }") for _ in range(60)]
    assert sum("errors" not in answer for answer in answers) == 30
    assert min(counted(address, "steward_requests_total")[number] for number in BOTH) > 0

    orphans = children(process)
    process.kill()
    assert steward.gone()
    until(lambda: refuses(address) and not any(map(exists, orphans)))


@pytest.mark.parametrize(
    ("arguments", "settings", "sentence"),
    [
        ([], {"WORKERS": "0"}, "steward: WORKERS: "),
        (["--workers", "65"], {}, "steward: WORKERS: "),
        (["--workers", "2"], {"RATE_STORAGE": "memory"}, "steward: RATE_STORAGE: in memory each of 2 WORKERS would "),
        (["--workers", "2"], {"TRUSTED_DOCUMENTS": "/nowhere"}, "steward: TRUSTED_DOCUMENTS: "),
    ],
)
def test_a_wrong_setting_is_one_sentence(
    steward: Steward, arguments: list[str], settings: dict[str, str], sentence: str
) -> None:
    refused = steward.run("serve", *arguments, **settings)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(sentence)
    assert refused.stderr.count("\n") == 1


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
