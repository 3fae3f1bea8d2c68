"""The rivals that run on Node: whether there is one, and their packages."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

HOME: Final = Path(__file__).parent / "rivals" / "node"
INSTALL: Final = ("npm", "ci", "--prefix", str(HOME), "--no-audit", "--no-fund", "--loglevel=error")


def lacking() -> str | None:
    """Why the rivals on Node cannot run, after their packages were installed; nothing if they can."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            return f"there is no {program}"
    if _installed():
        return None
    done = subprocess.run(INSTALL, capture_output=True, text=True, check=False)
    return f"npm ci failed: {done.stderr.strip()[-500:]}" if done.returncode else None


def _installed() -> bool:
    """Whether what is installed is not older than the lock."""
    kept, lock = HOME / "node_modules" / ".package-lock.json", HOME / "package-lock.json"
    return kept.exists() and kept.stat().st_mtime >= lock.stat().st_mtime


def version() -> str:
    """Which Node there is."""
    return subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
