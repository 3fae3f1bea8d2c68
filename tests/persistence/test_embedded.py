import asyncio
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from persistence.embedded import EmbeddedError, EmbeddedServer, program
from persistence.embedded.keeper import MOST_LOG, _command_line_by_ps, is_postmaster, recorded_pid
from persistence.embedded.places import Places

ROOT: Final = Path(__file__).parents[2]
QUICK: Final = {"fsync": "off"}
DURABLE: Final = {"fsync": "on"}
# Starts, says where, and stays until it is killed or its standard input ends.
USER: Final = """
import sys
from pathlib import Path
from persistence.embedded import EmbeddedServer
server = EmbeddedServer.start(Path(sys.argv[1]), settings={"fsync": "off"})
print(server.host, flush=True)
sys.stdin.read()
server.close(wait=True)
"""
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root keeps the data apart from the directory")

Start = Callable[..., EmbeddedServer]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "steward"


@pytest.fixture
def start(directory: Path) -> Iterator[Start]:
    servers: list[EmbeddedServer] = []

    def started(place: Path = directory, settings: dict[str, str] = QUICK) -> EmbeddedServer:
        servers.append(EmbeddedServer.start(place, settings=settings))
        return servers[-1]

    yield started
    forget(servers)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer.start(tmp_path_factory.mktemp("shared"), settings={**QUICK, "work_mem": "12MB"})
    yield server
    forget([server])


def forget(servers: list[EmbeddedServer]) -> None:
    for server in servers:
        server.close()
    for server in servers:
        server.close(wait=True)
        shutil.rmtree(server.home, ignore_errors=True)


async def connect(
    server: EmbeddedServer, user: str = "steward", database: str = "steward"
) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(host=server.host, port=server.port, user=user, database=database)


async def ask(server: EmbeddedServer, *statements: str) -> object:
    connection = await connect(server)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


async def remember(server: EmbeddedServer, *, rows: int = 3) -> None:
    await ask(server, "create table kept (id int)", f"insert into kept select generate_series(1, {rows})", "select 1")


async def remembered(server: EmbeddedServer) -> object:
    return await ask(server, "select count(*) from kept")


def postmaster(server: EmbeddedServer) -> int:
    return recorded_pid(server.home / "cluster")


def runs(server: EmbeddedServer, pid: int) -> bool:
    return is_postmaster(pid, server.home / "cluster")


def keeper_of(pid: int) -> int:
    found = re.search(r"^PPid:\s*(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


def command_line(pid: int) -> list[str]:
    """On Linux; empty for what is dead, or waits to be collected."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []


def eventually(holds: Callable[[], bool], seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "not in time"
        time.sleep(0.01)


def user_process(directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", USER, str(directory)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ready(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def killed(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


async def test_rows_are_there_after_a_restart(start: Start) -> None:
    first = start(settings=DURABLE)
    await remember(first)
    first.close(wait=True)
    assert await remembered(start(settings=DURABLE)) == 3


async def test_the_last_close_leaves_nothing_running(start: Start) -> None:
    server = start()
    pid = postmaster(server)
    assert runs(server, pid)
    server.close(wait=True)
    assert not runs(server, pid)
    assert not (server.home / "cluster" / "postmaster.pid").exists()
    assert not sockets(server).exists()
    server.close(wait=True)


async def test_leaving_the_block_is_closing(start: Start) -> None:
    with start() as server:
        pid = postmaster(server)
    eventually(lambda: not runs(server, pid))


async def test_a_user_that_leaves_does_not_stop_the_others(start: Start) -> None:
    first, second = start(), start()
    first.close(wait=True)
    assert await ask(second, "select 1") == 1


async def test_a_start_waits_for_the_server_that_is_stopping(start: Start) -> None:
    await remember(start())
    for _ in range(4):
        again = start()
        assert await remembered(again) == 3
        again.close()


async def test_starts_at_once_share_one_server(directory: Path, start: Start) -> None:
    processes = [user_process(directory) for _ in range(3)]
    hosts = {ready(process) for process in processes}
    server = start()
    assert hosts == {server.host}
    pid = postmaster(server)
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    assert await ask(server, "select 1") == 1
    assert postmaster(server) == pid


async def test_a_killed_user_ends_the_server(directory: Path, start: Start) -> None:
    process = user_process(directory)
    ready(process)
    server = start()
    pid = postmaster(server)
    server.close()
    assert runs(server, pid)
    killed(process)
    eventually(lambda: not runs(server, pid))


async def test_control_c_reaches_its_own_process_only(directory: Path, start: Start) -> None:
    process = user_process(directory)
    ready(process)
    server = start()
    os.killpg(process.pid, signal.SIGINT)
    process.communicate()
    await asyncio.sleep(0.3)
    assert await ask(server, "select 1") == 1


@linux_only
@pytest.mark.parametrize("patient", [True, False])
async def test_a_killed_keeper_ends_the_server_and_the_next_start_recovers(start: Start, *, patient: bool) -> None:
    first = start()
    await remember(first)
    pid = postmaster(first)
    keeper = keeper_of(pid)
    os.kill(keeper, signal.SIGKILL)
    eventually(lambda: not command_line(keeper))
    if patient:
        eventually(lambda: not runs(first, pid))
    assert await remembered(start()) == 3


async def test_a_killed_server_is_started_again_for_its_users(start: Start) -> None:
    server = start(settings=DURABLE)
    await remember(server)
    pid = postmaster(server)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: postmaster(server) not in {0, pid})
    assert await remembered(start()) == 3
    server.close()


@linux_only
async def test_everything_killed_at_once_recovers(directory: Path, start: Start) -> None:
    process = user_process(directory)
    ready(process)
    server = start()
    await remember(server)
    pid = postmaster(server)
    keeper = keeper_of(pid)
    server.close()
    for victim in (keeper, pid):
        os.kill(victim, signal.SIGKILL)
    killed(process)
    eventually(lambda: not command_line(keeper))
    assert await remembered(start()) == 3


@linux_only
async def test_a_server_without_keeper_is_replaced(start: Start) -> None:
    first = start()
    await remember(first)
    line = command_line(postmaster(first))
    first.close(wait=True)
    make_sockets(first)
    orphan = as_owner(first, line)
    eventually((sockets(first) / ".s.PGSQL.5432").exists)
    second = start()
    assert orphan.wait(10) == 0
    assert await remembered(second) == 3


async def test_a_process_that_got_a_dead_servers_number_is_no_server(start: Start) -> None:
    first = start()
    await remember(first)
    first.close(wait=True)
    record = first.home / "cluster" / "postmaster.pid"
    with as_owner(first, ["sleep", "60"]) as other:
        record.write_text(f"{other.pid}\n{record.parent}\n1\n5432\n{first.host}\n\n1 1\nready   \n")
        assert await remembered(start()) == 3
        assert other.poll() is None
        other.kill()


def as_owner(server: EmbeddedServer, command: list[str]) -> subprocess.Popen[bytes]:
    """A process of the user that runs this PostgreSQL."""
    owner = (server.home / "cluster").stat()
    return subprocess.Popen(
        command,
        user=owner.st_uid if os.geteuid() == 0 else None,
        group=owner.st_gid if os.geteuid() == 0 else None,
        extra_groups=() if os.geteuid() == 0 else None,
        cwd="/",
        stderr=subprocess.DEVNULL,
    )


def sockets(server: EmbeddedServer) -> Path:
    return Path(server.host)


def make_sockets(server: EmbeddedServer, mode: int = 0o700) -> None:
    owner = (server.home / "cluster").stat()
    sockets(server).mkdir()
    sockets(server).chmod(mode)
    os.chown(server.host, owner.st_uid, owner.st_gid)


def test_ps_tells_a_command_line_too() -> None:
    if not shutil.which("ps"):
        pytest.skip("there is no ps here")
    assert "pytest" in _command_line_by_ps(os.getpid()) or "python" in _command_line_by_ps(os.getpid())


async def test_an_interrupted_first_start_is_begun_again(directory: Path, start: Start) -> None:
    process = user_process(directory)
    eventually(lambda: any(half_made(directory)), seconds=20)
    killed(process)
    server = start()
    assert await ask(server, "select 1") == 1
    assert half_made(directory) == []


def half_made(directory: Path) -> list[Path]:
    # As root the data are where the link points to.
    link = directory / "cluster"
    home = link.readlink().parent if link.is_symlink() else directory
    return [half for half in home.glob("cluster.new-*") if any(half.iterdir())]


async def test_a_deep_directory(tmp_path: Path, start: Start) -> None:
    deep = tmp_path.joinpath(*["a rather long name, with spaces and ümlauts"] * 8)
    server = start(deep)
    assert len(server.host) < 60
    assert await ask(server, "select 1") == 1


async def test_a_locale_that_is_not_there(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANG", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.setenv(name, "xx_XX.UTF-8")
    monkeypatch.setenv("PGPORT", "nonsense")
    server = start()
    assert await ask(server, "select datlocprovider::text || datlocale from pg_database limit 1") == "bC.UTF-8"
    assert await ask(server, "select lower('É')") == "é"
    assert await ask(server, "show data_checksums") == "on"


async def test_the_callers_descriptors_stay_the_callers(start: Start) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)  # noqa: FBT003 - the standard library's signature.
    start()
    os.close(writer)
    os.set_blocking(reader, False)
    assert os.read(reader, 1) == b""
    os.close(reader)


async def test_a_removed_directory_ends_its_server(directory: Path, start: Start) -> None:
    server = start()
    pid = postmaster(server)
    shutil.rmtree(directory)
    eventually(lambda: not runs(server, pid))


async def test_a_dropped_database_is_made_anew(start: Start) -> None:
    server = start()
    connection = await connect(server, database="postgres")
    await connection.execute("drop database steward")
    await connection.close()
    assert await ask(start(), "select current_database()") == "steward"


async def test_the_log_is_bounded(directory: Path, start: Start) -> None:
    start()
    log = directory / "postgres.log"
    with log.open("ab") as stream:
        stream.write(b"." * MOST_LOG)
    eventually(lambda: log.stat().st_size < MOST_LOG)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


async def test_a_setting_that_postgresql_declines(start: Start) -> None:
    with pytest.raises(EmbeddedError, match="shared_buffers"):
        start(settings={**QUICK, "shared_buffers": "nonsense"})
    assert await ask(start(), "select 1") == 1


async def test_another_major_version_is_refused(start: Start) -> None:
    server = start()
    await remember(server)
    server.close(wait=True)
    record = server.home / "cluster" / "PG_VERSION"
    record.write_text("17\n")
    with pytest.raises(EmbeddedError, match="PostgreSQL 17, and this is PostgreSQL 18"):
        start()
    record.write_text("18\n")
    assert await remembered(start()) == 3


async def test_what_is_no_cluster_is_refused(start: Start) -> None:
    server = start()
    server.close(wait=True)
    (server.home / "cluster" / "PG_VERSION").unlink()
    with pytest.raises(EmbeddedError, match="holds no PostgreSQL database"):
        start()


def test_a_file_in_place_of_the_directory(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.touch()
    with pytest.raises(EmbeddedError, match="cannot be used"):
        EmbeddedServer.start(place)


async def test_a_socket_directory_open_to_others_is_refused(start: Start) -> None:
    server = start()
    server.close(wait=True)
    make_sockets(server, mode=0o777)
    with pytest.raises(EmbeddedError, match="open to others"):
        start()
    sockets(server).rmdir()


@root_only
async def test_a_copied_directory_does_not_take_the_data_of_its_model(
    directory: Path, tmp_path: Path, start: Start
) -> None:
    start()
    shutil.copytree(directory, tmp_path / "copy", symlinks=True)
    with pytest.raises(EmbeddedError, match="was moved or copied"):
        EmbeddedServer.start(tmp_path / "copy")


async def test_settings_reach_the_server(shared: EmbeddedServer) -> None:
    shown = [await ask(shared, f"show {name}") for name in ("work_mem", "fsync", "jit", "listen_addresses", "timezone")]
    assert shown == ["12MB", "off", "off", "", "UTC"]


async def test_the_socket_is_ours_alone(shared: EmbeddedServer) -> None:
    assert stat.S_IMODE(sockets(shared).stat().st_mode) == 0o700


async def test_our_three_roles_may_connect_and_no_other(shared: EmbeddedServer) -> None:
    await ask(shared, "create role steward_app login", "create role stranger login", "select 1")
    connection = await connect(shared, user="steward_app")
    assert await connection.fetchval("select current_user") == "steward_app"
    await connection.close()
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await connect(shared, user="stranger")


async def test_the_address_is_what_sqlalchemy_takes(shared: EmbeddedServer) -> None:
    engine = create_async_engine(shared.url())
    async with engine.connect() as connection:
        assert await connection.scalar(text("select current_user")) == "steward"
    await engine.dispose()


async def test_vector_is_there(shared: EmbeddedServer) -> None:
    assert await ask(shared, "create extension vector", "select '[1,2]'::vector <-> '[1,4]'") == 2


def test_client_programs_are_found() -> None:
    shown = subprocess.run([program("pg_dump"), "--version"], capture_output=True, text=True, check=True)
    assert " 18." in shown.stdout
    with pytest.raises(EmbeddedError, match="no pg_nothing"):
        program("pg_nothing")


@root_only
def test_several_that_start_for_the_first_time_at_once_share_one_place(tmp_path: Path) -> None:
    together = 8
    for number in range(50):
        directory, ready = tmp_path / str(number), threading.Barrier(together)

        def find(directory: Path = directory, ready: threading.Barrier = ready) -> Path:
            ready.wait()
            return Places.of(directory).home

        with ThreadPoolExecutor(together) as pool:
            homes = {each.result() for each in [pool.submit(find) for _ in range(together)]}
        (home,) = homes
        assert (directory / "cluster").readlink() == home / "cluster"
        home.rmdir()
