"""Letting a user in whose first proof was good, by whatever means it came: a password, an invitation, a provider."""

from datetime import datetime
from uuid import UUID

import msgspec

from domain.identity.entities import Grant
from domain.identity.sessions import open_session
from domain.identity.tokens import Tokens
from domain.origin import Origin
from domain.work import Work


class Challenge(msgspec.Struct, frozen=True):
    """A further proof that is asked for before there is a session; `token` is sent along with it."""

    token: str
    expires_at: datetime


class Admission(msgspec.Struct, frozen=True):
    """Either a session, or the challenge that stands before it."""

    grant: Grant | None = None
    challenge: Challenge | None = None


class Admissions(msgspec.Struct, frozen=True):
    """By which rules users are let in."""

    tokens: Tokens


async def admit(work: Work, admissions: Admissions, user_id: UUID, origin: Origin) -> Admission:
    """Let in a user whose first proof was good; raises Unauthenticated for one who is not active."""
    return Admission(grant=await open_session(work, admissions.tokens, user_id, origin))
