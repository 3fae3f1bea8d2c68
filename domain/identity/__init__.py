"""Users, their sessions, and the tokens that stand for them."""

from domain.identity.admission import Admission, Admissions, Challenge, admit
from domain.identity.attempts import Limits
from domain.identity.entities import (
    Account,
    Claims,
    Credential,
    Grant,
    Identities,
    RefreshToken,
    Session,
    User,
    UserStatus,
)
from domain.identity.passwords import Passwords, check_password
from domain.identity.sessions import (
    end_session,
    open_session,
    refresh,
    revoke_other_sessions,
    revoke_session,
    session_topic,
    settled,
    sign_out,
)
from domain.identity.tokens import ISSUER, Lives, Tokens, digest_of
from domain.identity.users import NewUser, check_place, create_user

__all__ = [
    "ISSUER",
    "Account",
    "Admission",
    "Admissions",
    "Challenge",
    "Claims",
    "Credential",
    "Grant",
    "Identities",
    "Limits",
    "Lives",
    "NewUser",
    "Passwords",
    "RefreshToken",
    "Session",
    "Tokens",
    "User",
    "UserStatus",
    "admit",
    "check_password",
    "check_place",
    "create_user",
    "digest_of",
    "end_session",
    "open_session",
    "refresh",
    "revoke_other_sessions",
    "revoke_session",
    "session_topic",
    "settled",
    "sign_out",
]
