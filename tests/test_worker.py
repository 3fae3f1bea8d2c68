"""`steward worker` as its users run it: a process, signals, and a database that it shares."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.steward import ROOT, Steward


@pytest.fixture
def steward(tmp_path: Path) -> Iterator[Steward]:
    made = Steward(tmp_path / "state")
    yield made
    made.end()


def worker(steward: Steward, **more: str) -> "subprocess.Popen[str]":
    """Start a worker, and wait until it works."""
    process = subprocess.Popen(
        [sys.executable, "-m", "graph.cli", "worker"],
        cwd=ROOT,
        env=steward.environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    steward.running.append(process)
    assert process.stdout
    assert process.stdout.readline() == "Steward is working in the background. Ctrl-C stops it.\n"
    return process


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_worker_and_the_database_it_has_started(steward: Steward, signum: signal.Signals) -> None:
    process = worker(steward)
    assert steward.postgres()
    process.send_signal(signum)
    rest, _ = process.communicate(timeout=20)
    assert (process.returncode, rest) == (0, "")
    assert steward.gone()


def test_workers_share_the_database_of_a_server(steward: Steward) -> None:
    server, _ = steward.serve(JOBS="apart")
    beside = [worker(steward), worker(steward)]
    for process in [server, *beside]:
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=20)
        rest = steward.printed(process) if process is server else rest
        assert (process.returncode, rest.count("WARNING") + rest.count("ERROR")) == (0, 0), rest
    assert not steward.postgres()


def test_what_is_wrong_with_its_settings_is_one_sentence(steward: Steward) -> None:
    refused = steward.run("worker", JOBS="elsewhere")
    assert refused.returncode == 2
    assert refused.stderr.startswith("steward: JOBS: ")
    assert steward.run("worker", JOB_HEARTBEAT="0").stderr.startswith("steward: JOB_HEARTBEAT: ")
