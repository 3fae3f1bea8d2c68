"""Strawberry's runner of extensions, which asks each class of extension once, not for each operation, what it hooks."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from functools import lru_cache
from inspect import isasyncgenfunction
from typing import Any, Final, cast

from strawberry.extensions import SchemaExtension
from strawberry.extensions.runner import SchemaExtensionsRunner
from strawberry.types import ExecutionContext

Around = AbstractAsyncContextManager[Any]
NOTHING: Final[Around] = nullcontext()


class Hooks(SchemaExtensionsRunner):
    """Runs the hooks of extensions, all of which are asynchronous generators; what is a subscription's is Strawberry's.

    The results of an extension are no coroutine.
    """

    def operation(self) -> Around:  # type: ignore[override] # what it is entered for is the same, here and below
        """Around all of an operation."""
        return self._around("on_operation")

    def parsing(self) -> Around:  # type: ignore[override]
        """Around the reading of its document."""
        return self._around("on_parse")

    def validation(self) -> Around:  # type: ignore[override]
        """Around the checks of its document."""
        return self._around("on_validate")

    def executing(self) -> Around:  # type: ignore[override]
        """Around its execution."""
        return self._around("on_execute")

    def _around(self, name: str) -> Around:
        hooks = [(hook, each) for each in self.extensions if (hook := _hook(type(each), name)) is not None]
        if not hooks:
            return NOTHING
        if len(hooks) == 1:
            hook, extension = hooks[0]
            return hook(extension)
        return _all_of(hooks)

    async def get_extensions_results(self, ctx: ExecutionContext) -> dict[str, Any]:
        """What extensions say in the answer."""
        told: dict[str, Any] = {}
        for each in self.extensions:
            if type(each).get_results is not SchemaExtension.get_results:
                told |= cast("dict[str, Any]", each.get_results())
        return told | ctx.extensions_results


def _found(kind: type, name: str) -> Callable[[SchemaExtension], Around] | None:
    """The hook of a class of extensions, if it has one."""
    hook = getattr(kind, name)
    if hook is getattr(SchemaExtension, name):
        return None
    if not isasyncgenfunction(hook):
        raise TypeError(f"{kind.__qualname__}.{name} is no asynchronous generator")
    return asynccontextmanager(hook)


_hook: Callable[[Any, str], Callable[[SchemaExtension], Around] | None] = lru_cache(maxsize=256)(_found)


@asynccontextmanager
async def _all_of(hooks: list[tuple[Callable[[SchemaExtension], Around], SchemaExtension]]) -> Any:
    async with AsyncExitStack() as stack:
        for hook, extension in hooks:
            await stack.enter_async_context(hook(extension))
        yield
