"""Users, their sessions, and the tokens that stand for them."""

from domain.identity.admission import Admission, Admissions, Challenge, admit
from domain.identity.entities import Claims, Credential, Grant, Identities, RefreshToken, Session, User, UserStatus
from domain.identity.passwords import Passwords
from domain.identity.sessions import end_session, granted, open_session, refresh, session_topic, sign_out
from domain.identity.tokens import ISSUER, Lives, Tokens, digest_of
from domain.identity.users import NewUser, check_place, create_user

__all__ = [
    "ISSUER",
    "Admission",
    "Admissions",
    "Challenge",
    "Claims",
    "Credential",
    "Grant",
    "Identities",
    "Lives",
    "NewUser",
    "Passwords",
    "RefreshToken",
    "Session",
    "Tokens",
    "User",
    "UserStatus",
    "admit",
    "check_place",
    "create_user",
    "digest_of",
    "end_session",
    "granted",
    "open_session",
    "refresh",
    "session_topic",
    "sign_out",
]
