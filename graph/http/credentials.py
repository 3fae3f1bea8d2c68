"""The access token, from wherever a transport can carry it."""

from collections.abc import Mapping
from typing import Any

from domain.errors import Unauthenticated


def bearer(header: str | None) -> str | None:
    """The token of an `Authorization` header; none if there is no header, or no token in it.

    Frontends send "Bearer " alone before anybody has signed in. Raises Unauthenticated for other schemes.
    """
    scheme, _, token = (header or "").strip().partition(" ")
    if scheme and scheme.lower() != "bearer":
        raise Unauthenticated("The Authorization header holds no Bearer token.", reason="INVALID")
    return token.strip() or None


def for_counting(header: str | None) -> str | None:
    """The token by which a request is counted; what is none is refused later, when it is read in earnest."""
    try:
        return bearer(header)
    except Unauthenticated:
        return None


def of_init(payload: Mapping[str, Any], header: str | None) -> str | None:
    """The token of a `connection_init` payload, else of the header that opened the socket.

    The payload names it `Authorization` or `authorization` ("Bearer …"), or `token` (bare, or "Bearer …").
    """
    for key in ("Authorization", "authorization", "token"):
        given = payload.get(key)
        if given is None:
            continue
        if not isinstance(given, str):
            raise Unauthenticated(f"{key} is no text.", reason="INVALID")
        bare = key == "token" and not given.lower().startswith("bearer ")
        return bearer(f"Bearer {given}" if bare else given)
    return bearer(header)
