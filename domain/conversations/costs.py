"""What calls of models have cost, and what they were made for."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import msgspec

from domain.entities import Entity


class CallPurpose(StrEnum):
    """What a model was asked for: an answer, or what to call the conversation."""

    ANSWER = "ANSWER"
    TITLE = "TITLE"


class Usage(msgspec.Struct, frozen=True):
    """What an answer has cost: tokens in and out, of which models, and the price in US dollars, where it is known.

    It is the sum over all finished calls of models, in whatever attempt. What a call has cost that was cut off before
    its model told of it nobody knows, and it is not in here.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    models: tuple[str, ...] = ()
    cost: Decimal | None = None


class Charge(Entity, frozen=True):
    """What a call of a model has cost: tokens in and out, and the price of both in US dollars, if one is known."""

    model: str
    input_tokens: int
    output_tokens: int
    cost: Decimal | None


class ModelCall(Entity, frozen=True):
    """A finished call of a model, in the trace of a run: the attempt that made it, and what it has cost, as a charge.

    `prompt` is all that the model was shown, as JSON; none once somebody whom it speaks of is erased.
    """

    id: UUID
    run_id: UUID
    message_id: UUID
    attempt: int
    purpose: CallPurpose
    model: str
    input_tokens: int
    output_tokens: int
    cost: Decimal | None
    prompt: str | None
    ended_at: datetime


def usage_of(calls: Sequence[Charge]) -> Usage | None:
    """What some calls of models have cost together; none where none has told. The price is known if each one's is."""
    if not calls:
        return None
    prices = [call.cost for call in calls if call.cost is not None]
    return Usage(
        input_tokens=sum(call.input_tokens for call in calls),
        output_tokens=sum(call.output_tokens for call in calls),
        models=tuple(dict.fromkeys(call.model for call in calls)),
        cost=sum(prices, Decimal(0)) if len(prices) == len(calls) else None,
    )
