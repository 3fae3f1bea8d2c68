import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Locator, Page, Route, WebSocketRoute, expect

from graph.graphiql import Operation, operations
from tests.browser.live import Live

pytestmark = pytest.mark.browser

SAMPLES = operations(Path(__file__).parents[2] / "graph" / "operations")
BAD_CREDENTIALS = 4401
TOKEN_ENDED = 4403
KEPT = "() => localStorage.getItem('graphiql:tabState').includes('query Mine')"
TOKEN = "JSON.parse(sessionStorage.getItem('steward:session')).accessToken"
WITH_TOKEN = """accessToken => {
  const tokens = JSON.parse(sessionStorage.getItem('steward:session'));
  sessionStorage.setItem('steward:session', JSON.stringify({ ...tokens, accessToken }));
}"""


def title(operation: Operation) -> str:
    """How GraphiQL calls the operation's tab."""
    found = re.search(r"^(?:query|mutation|subscription) (\w+)", operation.query, re.MULTILINE)
    assert found, f"{operation.name} has no name for its tab"
    return found[1]


def subscription() -> str:
    return next(title(each) for each in SAMPLES if re.search("^subscription ", each.query, re.MULTILINE))


async def visit(page: Page, live: Live) -> None:
    await page.goto(f"{live.url}/graphql")
    await expect(page.locator(".graphiql-query-editor .view-lines")).to_contain_text(title(SAMPLES[0]))


async def sign_in(page: Page, live: Live) -> None:
    await page.get_by_label("Email").fill(live.email)
    await page.get_by_label("Password").fill(live.password)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()


async def run(page: Page) -> None:
    await page.get_by_role("button", name="Execute query").click()


async def subscribe(page: Page) -> None:
    await page.get_by_role("tab").get_by_role("button", name=subscription(), exact=True).click()
    await run(page)


def answer(page: Page) -> Locator:
    return page.locator(".graphiql-response .view-lines")


def posts(page: Page, word: str) -> list[str]:
    """The bodies with that word which the page posts from now on."""
    seen: list[str] = []
    page.on("request", lambda request: seen.append(body) if word in (body := request.post_data or "") else None)
    return seen


@asynccontextmanager
async def events(live: Live) -> AsyncIterator[None]:
    """Events, one after the other: the first may happen before the server has taken up the subscription."""

    async def cause() -> None:
        while True:
            await live.cause_event()
            await asyncio.sleep(0.5)

    causing = asyncio.create_task(cause())
    yield
    causing.cancel()
    with suppress(asyncio.CancelledError):
        await causing


async def tabs(page: Page) -> list[str]:
    return await page.locator(".graphiql-tab-button").all_inner_texts()


async def test_page_needs_no_other_host(page: Page, live: Live, console: list[str]) -> None:
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    page.on("websocket", lambda socket: hosts.add(urlsplit(socket.url).netloc))
    await visit(page, live)
    await sign_in(page, live)
    await subscribe(page)
    await expect(page.get_by_role("button", name="Stop query")).to_be_visible()
    assert hosts == {urlsplit(live.url).netloc}
    assert page.workers, "the editor runs without its workers"
    assert console == []


def directives(policy: str) -> dict[str, list[str]]:
    """The sources that a policy allows, by what for."""
    return {name: sources for name, *sources in (part.split() for part in policy.split(";"))}


async def test_page_breaks_its_content_policy_nowhere(page: Page, live: Live, console: list[str]) -> None:
    broken: list[str] = []
    # A built-in cannot be exposed.
    await page.expose_function("broken", lambda text: broken.append(text))  # noqa: PLW0108 - as above
    await page.add_init_script(
        "addEventListener('securitypolicyviolation', event => broken(event.effectiveDirective + event.blockedURI))"
    )
    opened = await page.goto(f"{live.url}/graphql")
    assert opened
    policy = directives(opened.headers["content-security-policy"])
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == ["'none'"]
    assert policy["script-src"] == policy["connect-src"] == policy["worker-src"] == ["'self'"]
    await visit(page, live)
    await sign_in(page, live)
    await run(page)
    await expect(answer(page)).to_contain_text('"viewer"')
    await subscribe(page)
    async with events(live):
        await expect(answer(page)).to_contain_text('"notifications"')
    await page.locator(".graphiql-query-editor .monaco-editor").click()
    await page.keyboard.insert_text("mistake")
    await expect(page.locator(".graphiql-query-editor .squiggly-error").first).to_be_attached()
    assert page.workers, "the editor runs without its workers"
    assert broken == []
    assert console == []


async def test_the_policy_stops_what_is_no_file_of_ours(page: Page, live: Live, console: list[str]) -> None:
    await visit(page, live)
    script = "const made = document.createElement('script'); made.textContent = 'document.title = 1'; document.body."
    await page.evaluate(f"() => {{ {script}append(made); }}")
    assert await page.title() == "Steward"
    assert await page.evaluate("() => fetch('http://localhost:9/').then(() => 'sent', () => 'stopped')") == "stopped"
    stopped = [line for line in console if "Content Security Policy" in line]
    assert any("inline script" in line for line in stopped)
    assert any("localhost:9" in line for line in stopped)


async def test_no_other_page_shows_ours_in_a_frame(page: Page, live: Live) -> None:
    # The same server by its other name is another site to a browser.
    other = live.url.replace("127.0.0.1", "localhost")
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    await page.goto(f"{other}/healthz")
    await page.route(
        f"{other}/frame",
        lambda route: route.fulfill(content_type="text/html", body=f"<iframe src='{live.url}/graphql'></iframe>"),
    )
    await page.context.grant_permissions(["local-network-access"])
    await page.goto(f"{other}/frame")
    async with asyncio.timeout(20):
        while not any("frame-ancestors" in text for text in said):  # noqa: ASYNC110 - the browser's console sets no event
            await asyncio.sleep(0.1)


async def test_samples_are_the_tabs(page: Page, live: Live) -> None:
    await visit(page, live)
    assert await tabs(page) == [title(each) for each in SAMPLES]
    last = SAMPLES[-1]
    listed = page.get_by_role("region", name="Sample operations").get_by_role("button", name=title(last))
    await expect(listed).to_contain_text(last.description)
    await listed.click()
    await expect(page.get_by_role("tab", selected=True)).to_contain_text(title(last))
    await expect(page.get_by_role("tab", selected=True)).to_be_in_viewport()


async def test_signing_in_shows_who_it_is_and_runs_as_them(page: Page, live: Live) -> None:
    await visit(page, live)
    await sign_in(page, live)
    await run(page)
    name = await page.locator(".steward-user strong").inner_text()
    await expect(answer(page)).to_contain_text(name)


async def test_wrong_password_is_refused_in_words(page: Page, live: Live) -> None:
    await visit(page, live)
    await page.get_by_label("Email").fill(live.email)
    await page.get_by_label("Password").fill("not " + live.password)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.get_by_role("status")).to_have_text(re.compile(r"\w+"))
    await expect(page.get_by_label("Password")).to_be_visible()


async def test_signing_out_ends_the_session_here_and_on_the_server(page: Page, live: Live) -> None:
    await visit(page, live)
    await sign_in(page, live)
    sign_outs = posts(page, "signOut")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("Password")).to_be_visible()
    assert len(sign_outs) == 1
    assert await page.evaluate("sessionStorage.length") == 0


async def test_sign_in_survives_a_reload(page: Page, live: Live) -> None:
    await visit(page, live)
    await sign_in(page, live)
    await page.reload()
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()


async def test_subscription_shows_an_event(page: Page, live: Live) -> None:
    await visit(page, live)
    await sign_in(page, live)
    await subscribe(page)
    async with events(live):
        await expect(answer(page)).to_contain_text('"data"')


async def test_expired_token_is_refreshed_once_and_the_request_repeated(page: Page, live: Live) -> None:
    await visit(page, live)
    await sign_in(page, live)
    await page.evaluate(WITH_TOKEN, live.expired_token)
    refreshes = posts(page, "refreshSession")
    await page.reload()
    await run(page)
    name = await page.locator(".steward-user strong").inner_text()
    await expect(answer(page)).to_contain_text(name)
    assert len(refreshes) == 1


class Sockets:
    """Stands between the page and the server's sockets: sees what passes, and lets a test close one with a code."""

    def __init__(self) -> None:
        self.credentials: list[str] = []
        self.subscribed: asyncio.Queue[WebSocketRoute] = asyncio.Queue()
        self.told: asyncio.Queue[WebSocketRoute] = asyncio.Queue()

    def relay(self, socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def forward(text: str | bytes) -> None:
            message = json.loads(text)
            if message["type"] == "connection_init":
                self.credentials.append(message["payload"]["Authorization"])
            server.send(text)
            if message["type"] == "subscribe":
                self.subscribed.put_nowait(socket)

        def back(text: str | bytes) -> None:
            socket.send(text)
            if json.loads(text)["type"] == "next":
                self.told.put_nowait(socket)

        socket.on_message(forward)
        server.on_message(back)

    async def subscription(self) -> WebSocketRoute:
        """The socket of the next subscription."""
        return await asyncio.wait_for(self.subscribed.get(), timeout=20)


@pytest.fixture
async def sockets(page: Page) -> Sockets:
    sockets = Sockets()
    await page.route_web_socket(re.compile("/graphql$"), sockets.relay)
    return sockets


async def test_socket_whose_token_ends_resumes_with_a_fresh_one(page: Page, live: Live, sockets: Sockets) -> None:
    await visit(page, live)
    await sign_in(page, live)
    refreshes = posts(page, "refreshSession")
    await subscribe(page)
    await (await sockets.subscription()).close(code=TOKEN_ENDED)
    resumed = await sockets.subscription()
    assert len(refreshes) == 1
    _, fresh = sockets.credentials
    assert fresh == "Bearer " + await page.evaluate(TOKEN)
    async with events(live), asyncio.timeout(20):
        while await sockets.told.get() is not resumed:
            pass


async def test_socket_with_bad_credentials_asks_for_a_sign_in(page: Page, live: Live, sockets: Sockets) -> None:
    await visit(page, live)
    await sign_in(page, live)
    await subscribe(page)
    await (await sockets.subscription()).close(code=BAD_CREDENTIALS)
    await expect(page.get_by_label("Password")).to_be_visible()
    await expect(page.get_by_role("status")).to_contain_text("sign-in")
    assert len(sockets.credentials) == 1


async def test_new_samples_appear_and_own_tabs_stay(page: Page, live: Live) -> None:
    async def without_the_last(route: Route) -> None:
        response = await route.fetch()
        head, found, rest = (await response.text()).partition('id="config">')
        config, end, tail = rest.partition("</script>")
        known = json.loads(config)
        known["operations"].pop()
        await route.fulfill(response=response, body=head + found + json.dumps(known) + end + tail)

    await page.route(lambda url: urlsplit(url).path == "/graphql", without_the_last, times=1)
    await visit(page, live)
    await page.get_by_role("button", name="New tab").click()
    await page.locator(".graphiql-query-editor .monaco-editor").click()
    await page.keyboard.insert_text("query Mine { __typename }")
    # Not by wait_for_function, which evaluates a text in the page: the policy forbids that.
    async with asyncio.timeout(20):
        while not await page.evaluate(KEPT):  # noqa: ASYNC110 - the page's storage sets no event
            await asyncio.sleep(0.1)
    assert await tabs(page) == [*map(title, SAMPLES[:-1]), "Mine"]
    await page.reload()
    await expect(page.get_by_role("tab")).to_have_count(len(SAMPLES) + 1)
    assert await tabs(page) == [*map(title, SAMPLES), "Mine"]
    await page.reload()
    await expect(page.get_by_role("tab")).to_have_count(len(SAMPLES) + 1)
