"""A mutation takes one input and returns a payload; a verb's refusal becomes the payload's user error."""

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, Final, TypeVar, get_args, get_type_hints

import strawberry

from domain.errors import Refusal, RefusalCode
from graph.cost import cost
from graph.described import enum, interface, type_

T = TypeVar("T")
# A transaction with its audit trail and its events.
WRITES: Final = cost(10)
# What proves who somebody is, or sends a letter: dear by design, and charged to the address whoever has signed in.
PROVES: Final = cost(50, by_address=True)
GOES_ON: Final = cost(10, by_address=True)

enum(RefusalCode)


@type_
class UserError:
    """Why a rule declined a change.

    code: Which rule it was.
    message: A sentence for the person at the screen.
    field: The path of the input field at fault, from `input` on; empty where no single field is.
    """

    cost_points: ClassVar[float] = 0

    code: RefusalCode
    message: str
    field: list[str]


@interface
class Payload:
    """What a mutation answers: what it changed, or why a rule declined the change.

    user_errors: Why the change was declined; empty if it was made.
    """

    user_errors: list[UserError] = strawberry.field(default_factory=list, metadata=cost(size=1))


def mutation(resolver: Callable[..., Awaitable[T]] | None = None, *, cost: Mapping[str, Any] = WRITES) -> Any:
    """A mutation field, described by its docstring, whose refusals come out as user errors of its payload.

    The field is nullable: one that failed must not blank the answers of its siblings, which have run. `@mutation`
    alone costs what a transaction does; `@mutation(cost=cost(50))` says otherwise.
    """
    if resolver is None:
        return functools.partial(mutation, cost=cost)

    @functools.wraps(resolver)
    async def answered(*args: Any, **kwargs: Any) -> Any:
        try:
            return await resolver(*args, **kwargs)
        except Refusal as refusal:
            error = UserError(code=refusal.code, message=refusal.message, field=list(refusal.field))
            return _payload_type(resolver)(user_errors=[error])

    field = strawberry.mutation(resolver=answered, description=(resolver.__doc__ or "").strip(), metadata=dict(cost))
    for argument in field.arguments:
        argument.description = "What is to be done; the input's own fields say more."
    return field


def _payload_type(resolver: Callable[..., Any]) -> Any:
    options = get_args(get_type_hints(resolver, include_extras=True)["return"])
    return next(option for option in options if option is not type(None))
