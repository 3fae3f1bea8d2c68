"""Where a request or a socket comes from, as its ASGI scope tells."""

import ipaddress
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any

from domain.origin import Origin
from graph.http.head import head_of
from graph.http.request_id import request_id


def origin_of(scope: MutableMapping[str, Any]) -> Origin:
    """The request's id, its client's address and program; uvicorn has put a trusted proxy's word in the address.

    A word that is no address, which a proxy can only have passed on from its client, is none.
    """
    state: dict[str, Any] = scope.setdefault("state", {})
    known: Origin | None = state.get("origin")
    if known is None:
        address = _address(str((scope.get("client") or ("",))[0]))
        known = state["origin"] = Origin(request_id(scope), address, head_of(scope).device)
    return known


@lru_cache(maxsize=1024)
def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""
