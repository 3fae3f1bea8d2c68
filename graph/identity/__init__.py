"""Users of the firm, their sign-in and their sessions."""

from graph.identity.sign_in import IdentityMutations, IdentityQueries
from graph.identity.types import Session, User, Viewer

__all__ = ["IdentityMutations", "IdentityQueries", "Session", "User", "Viewer"]
