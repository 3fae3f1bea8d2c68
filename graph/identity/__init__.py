"""Users of the firm, their sign-in and their sessions."""

from graph.identity.account import AccountMutations
from graph.identity.administration import UserMutations, UserQueries
from graph.identity.factors import FactorMutations
from graph.identity.sessions import SessionMutations
from graph.identity.sign_in import IdentityMutations, IdentityQueries
from graph.identity.types import Session, User, Viewer

__all__ = [
    "AccountMutations",
    "FactorMutations",
    "IdentityMutations",
    "IdentityQueries",
    "Session",
    "SessionMutations",
    "User",
    "UserMutations",
    "UserQueries",
    "Viewer",
]
