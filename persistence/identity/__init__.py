"""Users, their credentials and sessions."""

from persistence.identity.repository import Identities
from persistence.identity.tables import credentials, refresh_tokens, sessions, users

__all__ = ["Identities", "credentials", "refresh_tokens", "sessions", "users"]
