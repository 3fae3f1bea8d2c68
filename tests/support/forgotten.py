"""A firm whose repositories have forgotten whose rows they ask for: what is left of the wall is the database's part."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Select

from domain.access import Sight
from persistence import listing, repository
from persistence.listing import Listing
from persistence.repository import Listed


def unscoped(statement: Select[Any], _: Sight) -> Select[Any]:
    """The statement as it is, where `scoped` would have cut it."""
    return statement


def _forget_texts() -> None:
    repository._scoped.cache_clear()  # noqa: SLF001 - what was compiled before is compiled anew
    for each in Listed.__subclasses__():
        found = getattr(each, "listing", None)
        if isinstance(found, Listing):
            found._texts.clear()  # noqa: SLF001 - as above


@contextmanager
def forgotten_scope() -> Iterator[None]:
    """No statement of any repository is cut to what the viewer sees, until the end of the block."""
    with pytest.MonkeyPatch.context() as patched:
        for module in (listing, repository):
            patched.setattr(module, "scoped", unscoped)
        _forget_texts()
        yield
    _forget_texts()
