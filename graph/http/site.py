"""Pages of other sites: which of them may have a browser call the API."""

from collections.abc import Collection
from typing import Final

from strawberry.http.websocket_origin import is_same_origin, normalize_origin

from domain.errors import Forbidden
from graph.http.received import Received
from graph.http.refused import Refused

# What browsers say of a page whose site or origin is not ours; the address bar and programs say `none`, or nothing.
ELSEWHERE: Final = frozenset({b"cross-site", b"same-site"})


def check_site(request: Received, allowed: Collection[str]) -> None:
    """Refuse an operation that the page of another site sends; `allowed` are the origins that may ("*": all).

    A token travels in a header that only our own frontends know, so such a page could do nothing but what the
    anonymous can: try passwords from its visitors' addresses, say. Raises Refused with 403.
    """
    head = request.head
    if b"origin" not in head.first:
        foreign = head.first.get(b"sec-fetch-site") in ELSEWHERE
    else:
        origin = head.header(b"origin") or ""
        ours = is_same_origin(origin, head.header(b"host"))
        foreign = not (ours or normalize_origin(origin) in allowed)
    if foreign and "*" not in allowed:
        raise Refused(403, elsewhere())


def elsewhere() -> Forbidden:
    """What the page of another site is told."""
    return Forbidden("Pages of other sites may not call this API, but for those of ALLOWED_ORIGINS.")
