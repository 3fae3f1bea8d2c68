"""Linux's file system in memory, for what tests make of PostgreSQL's.

On disk, ext4 looks through whatever was deleted in the last minute for each file that is made, and a database is 650
files, which cost up to half of a run.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")  # noqa: S108 (what lies there has names of our own)
ROOM: Final = 2 << 30


def place_for(uid: int, gid: int) -> Path | None:
    """A new directory in memory that an account may write to; None where there is no room for one."""
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ROOM:
        return None
    made = Path(tempfile.mkdtemp(prefix="steward-test-", dir=MEMORY))
    os.chown(made, uid, gid)
    return made
