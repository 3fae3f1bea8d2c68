"""A real PostgreSQL of our own, started on first use and ended with its last user."""

from persistence.embedded.binaries import program
from persistence.embedded.places import EmbeddedError
from persistence.embedded.server import EmbeddedServer

__all__ = ["EmbeddedError", "EmbeddedServer", "program"]
