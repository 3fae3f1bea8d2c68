"""Strawberry's runner of extensions, which asks each class of extension once, not for each operation, what it hooks."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from functools import lru_cache
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import TracebackType
from typing import Any, Final, NamedTuple, cast

from strawberry.extensions import SchemaExtension
from strawberry.extensions.runner import SchemaExtensionsRunner
from strawberry.types import ExecutionContext

Entered = AbstractAsyncContextManager[Any]
NOTHING: Final[Entered] = nullcontext()


class Hook(NamedTuple):
    """What a class of extensions does at a stage: around it, or before it."""

    around: Callable[[SchemaExtension], Entered] | None
    before: Callable[[SchemaExtension], Any] | None
    waits: bool


class Hooks(SchemaExtensionsRunner):
    """Runs the hooks of extensions: asynchronous generators, coroutines and functions; a stream's are Strawberry's.

    The results of an extension are no coroutine.
    """

    def operation(self) -> Entered:  # type: ignore[override] # what it is entered for is the same, here and below
        """Around all of an operation."""
        return self._stage("on_operation")

    def parsing(self) -> Entered:  # type: ignore[override]
        """Around the reading of its document."""
        return self._stage("on_parse")

    def validation(self) -> Entered:  # type: ignore[override]
        """Around the checks of its document."""
        return self._stage("on_validate")

    def executing(self) -> Entered:  # type: ignore[override]
        """Around its execution."""
        return self._stage("on_execute")

    def _stage(self, name: str) -> Entered:
        hooks = [(hook, each) for each in self.extensions if (hook := _hook(type(each), name)) is not None]
        return Stage(hooks) if hooks else NOTHING

    async def get_extensions_results(self, ctx: ExecutionContext) -> dict[str, Any]:
        """What extensions say in the answer."""
        told: dict[str, Any] = {}
        for each in self.extensions:
            if type(each).get_results is not SchemaExtension.get_results:
                told |= cast("dict[str, Any]", each.get_results())
        return told | ctx.extensions_results


class Stage:
    """One stage of an operation, with what extensions do before and around it, in their order."""

    __slots__ = ("_hooks", "_open")

    def __init__(self, hooks: list[tuple[Hook, SchemaExtension]]) -> None:
        self._hooks = hooks
        self._open: list[Entered] = []

    async def __aenter__(self) -> None:
        """Begin; what has begun is ended if a later one fails."""
        try:
            for hook, extension in self._hooks:
                if hook.around is not None:
                    entered = hook.around(extension)
                    await entered.__aenter__()
                    self._open.append(entered)
                elif hook.before is not None:
                    made = hook.before(extension)
                    if hook.waits:
                        await made
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, the last that has begun first; what has gone wrong goes on, as with Strawberry's own."""
        if len(self._open) == 1:
            await self._open[0].__aexit__(kind, error, trace)
        elif self._open:
            stack = AsyncExitStack()
            for entered in self._open:
                stack.push_async_exit(entered)
            await stack.__aexit__(kind, error, trace)


def _found(kind: type[SchemaExtension], name: str) -> Hook | None:
    """The hook of a class of extensions, if it has one."""
    hook = getattr(kind, name)
    if hook is getattr(SchemaExtension, name):
        return None
    if isgeneratorfunction(hook):
        raise TypeError(f"{kind.__qualname__}.{name} must be an asynchronous generator")
    if isasyncgenfunction(hook):
        return Hook(asynccontextmanager(hook), None, waits=False)
    return Hook(None, hook, waits=iscoroutinefunction(hook))


_hook: Callable[[Any, str], Hook | None] = lru_cache(maxsize=256)(_found)
