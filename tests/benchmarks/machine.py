"""What runs on which core, and what the kernel tells of processes; where it tells nothing, there is none."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
MEASURES: Final = (PROC / "self" / "stat").exists()
TICKS: Final = os.sysconf("SC_CLK_TCK")
# Written to clear_refs, it lets the peak begin anew.
PEAK: Final = "5"


def cores() -> tuple[set[int], set[int]] | None:
    """One core for the server that is measured, the others for all else; none where that cannot be chosen."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    own = sorted(os.sched_getaffinity(0))
    return ({own[-1]}, set(own[:-1])) if len(own) > 1 else None


@contextmanager
def on(chosen: set[int] | None) -> Iterator[None]:
    """This process, and what is started meanwhile, on some cores."""
    if chosen is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, chosen)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _fields(pid: int) -> list[str]:
    """What stands in a process's line of statistics behind its name: its state, its parent, and so on."""
    return (PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()


def cpu_seconds(pid: int) -> float | None:
    """What all threads of a process have used so far."""
    if not MEASURES:
        return None
    fields = _fields(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(pid: int) -> int | None:
    """The memory that a process holds, in KiB."""
    if not MEASURES:
        return None
    pages = int((PROC / str(pid) / "statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def parent_of(pid: int) -> int | None:
    """The process that has started a process."""
    return int(_fields(pid)[1]) if MEASURES else None


def of_children(parent: int | None) -> dict[int, float]:
    """What each child of a process that lives has used so far, in seconds."""
    found: dict[int, float] = {}
    if parent is None:
        return found
    for each in PROC.iterdir():
        # Others come and go meanwhile.
        with suppress(OSError):
            if each.name.isdigit() and parent_of(pid := int(each.name)) == parent:
                found[pid] = cpu_seconds(pid) or 0.0
    return found


def forget_peak(pid: int) -> None:
    """Let a process's peak of memory begin anew, where that is allowed; elsewhere it is that since its start."""
    with suppress(OSError):
        (PROC / str(pid) / "clear_refs").write_text(PEAK, "ascii")


def peak(pid: int) -> float | None:
    """The most memory that a process has had, in megabytes."""
    if not MEASURES:
        return None
    lines = (PROC / str(pid) / "status").read_text("utf-8", "replace").splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), None)
