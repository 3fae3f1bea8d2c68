"""Users, their credentials and sessions."""

from persistence.identity.attempts import AttemptRows, sign_in_attempts
from persistence.identity.factors import Factors, recovery_codes, second_factors, sign_in_challenges
from persistence.identity.repository import MOST_SESSIONS, Identities
from persistence.identity.tables import credentials, refresh_tokens, sessions, users

__all__ = [
    "MOST_SESSIONS",
    "AttemptRows",
    "Factors",
    "Identities",
    "credentials",
    "recovery_codes",
    "refresh_tokens",
    "second_factors",
    "sessions",
    "sign_in_attempts",
    "sign_in_challenges",
    "users",
]
