"""Hooks of extensions run in order, and what has begun is ended whatever fails."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from strawberry.extensions import SchemaExtension

from graph.http.hooks import Hooks

SAID: list[str] = []


def named(name: str, hook: Callable[..., Any]) -> SchemaExtension:
    """An extension of a class of its own with this hook around execution."""
    made: SchemaExtension = type(name, (SchemaExtension,), {"on_execute": hook})()
    return made


def around(name: str) -> SchemaExtension:
    async def hook(_: Any) -> AsyncIterator[None]:
        SAID.append(f"{name} begins")
        try:
            yield
        except ValueError as error:
            SAID.append(f"{name} sees {error}")
            raise
        SAID.append(f"{name} ends")

    return named(name, hook)


def before(name: str) -> SchemaExtension:
    async def hook(_: Any) -> None:
        SAID.append(name)

    return named(name, hook)


def plain(name: str) -> SchemaExtension:
    return named(name, lambda _: SAID.append(name))


def failing() -> SchemaExtension:
    async def hook(_: Any) -> None:
        raise ValueError("no")

    return named("Failing", hook)


@pytest.fixture(autouse=True)
def nothing_said() -> None:
    SAID.clear()


async def run(*extensions: SchemaExtension, fails: bool = False) -> None:
    hooks: Any = Hooks(None, list(extensions))  # type: ignore[arg-type] # no hook here asks for the context
    async with hooks.executing():
        SAID.append("it runs")
        if fails:
            raise ValueError("oh")


async def test_hooks_of_all_kinds_run_in_their_order() -> None:
    await run(around("A"), before("B"), plain("C"), around("D"))
    assert SAID == ["A begins", "B", "C", "D begins", "it runs", "D ends", "A ends"]


@pytest.mark.parametrize("names", [["A"], ["A", "B"]])
async def test_what_fails_is_seen_by_all_around_it(names: list[str]) -> None:
    with pytest.raises(ValueError, match="oh"):
        await run(*map(around, names), fails=True)
    assert [*(f"{name} begins" for name in names), "it runs", *(f"{name} sees oh" for name in names[::-1])] == SAID


async def test_what_has_begun_ends_if_a_later_hook_fails() -> None:
    with pytest.raises(ValueError, match="no"):
        await run(around("A"), failing(), before("B"))
    assert SAID == ["A begins", "A sees no"]


async def test_where_there_is_no_hook_it_just_runs() -> None:
    await run(SchemaExtension())
    assert SAID == ["it runs"]


async def test_a_hook_that_would_silently_not_run_is_told_of() -> None:
    def hook(_: Any) -> Iterator[None]:
        yield

    with pytest.raises(TypeError, match=r"Plain\.on_execute must be an asynchronous generator"):
        await run(named("Plain", hook))


async def test_no_hook_swallows_what_goes_wrong() -> None:
    async def hook(_: Any) -> AsyncIterator[None]:
        try:
            yield
        except ValueError:
            SAID.append("swallowed")

    with pytest.raises(ValueError, match="oh"):
        await run(named("Greedy", hook), fails=True)
    assert SAID == ["it runs", "swallowed"]
