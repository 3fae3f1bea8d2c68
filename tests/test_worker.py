"""`steward worker` as its users run it: a process, signals, and a database that it shares."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.steward import Process, Steward

WORKS: Final = "Steward is working in the background. Ctrl-C stops it.\n"


@pytest.fixture
def steward(migrated: Steward, tmp_path: Path) -> Iterator[Steward]:
    made = Steward(tmp_path / "state", like=migrated)
    yield made
    made.end()


def worker(steward: Steward, **more: str) -> Process:
    """Start a worker, and wait until it works."""
    process, _ = steward.begin(re.escape(WORKS), "worker", **more)
    return process


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_worker_and_the_database_it_has_started(steward: Steward, signum: signal.Signals) -> None:
    process = worker(steward)
    assert steward.postgres()
    process.send_signal(signum)
    assert process.wait(20) == 0
    assert steward.printed(process) == WORKS
    assert steward.gone()


def test_workers_share_the_database_of_a_server(steward: Steward) -> None:
    server, _ = steward.serve(JOBS="apart")
    beside = [worker(steward), worker(steward)]
    for process in [server, *beside]:
        process.send_signal(signal.SIGTERM)
        code, said = process.wait(20), steward.printed(process)
        assert (code, said.count("WARNING") + said.count("ERROR")) == (0, 0), said
    assert not steward.postgres()


def test_what_is_wrong_with_its_settings_is_one_sentence(steward: Steward) -> None:
    refused = steward.run("worker", JOBS="elsewhere")
    assert refused.returncode == 2
    assert refused.stderr.startswith("steward: JOBS: ")
    assert steward.run("worker", JOB_HEARTBEAT="0").stderr.startswith("steward: JOB_HEARTBEAT: ")
