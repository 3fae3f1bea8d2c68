"""Pages of other sites get nowhere: not by HTTP, whatever a browser lets them send, and not by a socket."""

import json

import pytest
from websockets.exceptions import InvalidStatus

from tests.http.conftest import Served
from tests.http.talk import code

CHANGE = "mutation { change }"


def foreign(site: str, origin: str | None = None) -> dict[str, str]:
    """What a browser says of the page that sends a request."""
    return {"Sec-Fetch-Site": site} | ({"Origin": origin} if origin else {})


@pytest.mark.parametrize(
    "headers",
    [
        foreign("cross-site"),
        foreign("same-site"),
        foreign("cross-site", "https://evil.example"),
        foreign("same-site", "https://wiki.desk.example"),
        foreign("cross-site", "null"),
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://desk.example.evil.example"},
        {"Origin": "http://desk.example"},
        {"Origin": "http://["},
        {"Origin": "*"},
        {"Origin": ""},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_an_operation_from_another_site_is_answered_403(
    api: Served, headers: dict[str, str], method: str, accept: str
) -> None:
    headers = headers | {"Accept": accept}
    if method == "POST":
        answer = await api.post(CHANGE, headers=headers)
    else:
        answer = await api.http.get("/", params={"query": "{ hello }"}, headers=headers)
    assert (answer.status_code, code(answer.json())) == (403, "FORBIDDEN")
    assert api.sessions.seen.ran == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        foreign("none"),
        foreign("same-origin"),
        foreign("cross-site", "https://desk.example"),
        {"Origin": "https://desk.example"},
        {"Origin": "HTTPS://DESK.example:443"},
    ],
    ids=str,
)
async def test_our_pages_and_programs_are_answered(api: Served, headers: dict[str, str]) -> None:
    assert (await api.post(CHANGE, headers=headers)).json() == {"data": {"change": "x"}}


async def test_a_page_of_the_server_itself_is_answered(api: Served) -> None:
    # A proxy that ends TLS passes the host on, and the page is of https.
    for scheme in ("http", "https"):
        headers = {"Origin": f"{scheme}://{api.host}", "Sec-Fetch-Site": "same-origin"}
        assert (await api.post(CHANGE, headers=headers)).json() == {"data": {"change": "x"}}


async def test_a_link_from_another_site_opens_the_page(api: Served) -> None:
    browser = {"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "navigate", **foreign("cross-site")}
    assert (await api.http.get("/", headers=browser)).text == "<title>the page</title>"


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
async def test_what_a_form_of_another_site_can_send_is_refused(api: Served, content_type: str) -> None:
    """Without a preflight a page sends these three types alone: refused also where no browser says whence it comes."""
    body = json.dumps({"query": CHANGE}).encode()
    answer = await api.http.post("/", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == 415
    answer = await api.http.post("/", content=body, headers={"Content-Type": content_type, **foreign("cross-site")})
    assert answer.status_code == 403
    assert api.sessions.seen.ran == []


async def test_a_socket_from_another_site_is_told_why(api: Served) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with api.socket(origin="https://evil.example"):
            pass
    response = refused.value.response
    assert response.status_code == 403
    assert code(json.loads(response.body or b"")) == "FORBIDDEN"
