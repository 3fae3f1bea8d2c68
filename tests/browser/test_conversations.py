"""Conversations in the page, from its sample tabs as they stand: the demo firm, a server of its own, and no key."""

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import pytest
from playwright.async_api import Browser, BrowserContext, Page, WebSocket, expect

from tests.support.language_model import KEY, Imitating, speaking
from tests.support.steward import Steward
from tests.support.talking import ENDS

pytestmark = pytest.mark.browser

# Seconds a word, so that an answer takes some seconds.
PACE: Final = "0.05"
ANSWERED: Final = (
    90_000  # milliseconds; a killed server's run is taken up again after ten seconds, and may wait longer.
)
# What the browser says when it has lost its server, in the midst of a file perhaps.
LOST: Final = ("net::ERR_", "Failed to fetch dynamically imported module")
ASHA: Final = "Asha Mehta (advisor)"
MEERA: Final = "Meera Joshi (supervisor)"
# From the press of the button to the first event in the pane, and what stood on top of it at each change.
WATCH: Final = """() => {
  const pane = document.querySelector('.graphiql-response');
  window.shown = [];
  window.pressed = undefined;
  const note = () => {
    const kind = /"__typename":\\s*"(\\w+)"/.exec(pane.innerText.replaceAll('\\u00a0', ' '))?.[1];
    if (!window.pressed || !kind || window.shown.at(-1)?.kind === kind) return;
    window.shown.push({ kind, at: performance.now() });
  };
  new MutationObserver(note).observe(pane, { subtree: true, childList: true, characterData: true });
  document.querySelector('.graphiql-execute-button').addEventListener(
    'click', () => { window.pressed = performance.now(); }, { capture: true, once: true });
}"""

# What somebody who reads the page before pressing a button lets it finish.
IDLE: Final = "() => new Promise((done) => requestIdleCallback(() => requestIdleCallback(done)))"


class Tab(msgspec.Struct, frozen=True):
    """A browser tab with the page, who is signed in there, and what has come over its sockets and to its console."""

    page: Page
    events: list[Any]
    console: list[str]

    async def sign_in(self, address: str, who: str) -> None:
        """Open the page, and choose one of the demo firm's sign-ins."""
        await self.page.goto(f"{address}/graphql")
        await self.page.get_by_label("Demo sign-ins").select_option(label=who)
        await expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()

    async def run(self, sample: str, variables: Any = None) -> None:
        """Press the button in a sample's tab, with its own variables unless others are given."""
        await self.page.get_by_role("tab").get_by_role("button", name=sample, exact=True).click()
        await expect(self.page.locator(".graphiql-query-editor .view-lines")).to_contain_text(sample)
        if variables is not None:
            await self._type(json.dumps(variables))
        # A tab behind others draws once a second.
        await self.page.bring_to_front()
        await self.page.evaluate(WATCH)
        await self.page.evaluate(IDLE)
        await self.page.get_by_role("button", name="Execute query").click()

    async def _type(self, variables: str) -> None:
        await self.page.locator(".graphiql-editor-tool .monaco-editor").first.click()
        await self.page.keyboard.press("ControlOrMeta+A")
        await self.page.keyboard.insert_text(variables)
        # The editor has closed quotes and brackets by itself.
        await self.page.keyboard.press("ControlOrMeta+Shift+End")
        await self.page.keyboard.press("Delete")

    async def see(self, text: str) -> None:
        """Until the top of the result pane shows a text."""
        await expect(self.page.locator(".graphiql-response .view-lines")).to_contain_text(text, timeout=ANSWERED)

    async def shown(self) -> Any:
        """All that the result pane holds, as somebody copies it."""
        await self.page.bring_to_front()
        await self.page.locator(".graphiql-response .view-lines").click()
        await self.page.keyboard.press("ControlOrMeta+A")
        await self.page.keyboard.press("ControlOrMeta+C")
        return json.loads(await self.page.evaluate("() => navigator.clipboard.readText()"))

    async def seen(self) -> Any:
        """The kinds of the events that came to stand on top of the pane, with the milliseconds since the press."""
        return await self.page.evaluate(
            "() => window.shown.map(({ kind, at }) => ({ kind, after: at - window.pressed }))"
        )

    async def told(self) -> list[Any]:
        """The events that the result pane shows, from the first to the last."""
        shown = await self.shown()
        results = [{"data": shown["data"]}, *shown.get("earlier", ())]
        return [event for result in reversed(results) for event in result["data"].values()]


async def tab_of(context: BrowserContext) -> Tab:
    """A new tab of a browser."""
    tab = Tab(await context.new_page(), [], [])

    def receive(frame: str | bytes) -> None:
        message = json.loads(frame)
        if message["type"] == "next":
            tab.events.extend(message["payload"]["data"].values())

    def opened(socket: WebSocket) -> None:
        socket.on("framereceived", receive)

    tab.page.on("websocket", opened)
    tab.page.on("console", lambda message: tab.console.append(f"{message.type}: {message.text}"))
    tab.page.on("pageerror", lambda error: tab.console.append(str(error)))
    return tab


@pytest.fixture(scope="module")
async def steward(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Steward]:
    """The command, with the state directory of a demo firm; after the browser, without which nothing is started."""
    assert chromium.is_connected()
    made = Steward(tmp_path_factory.mktemp("demo") / "state")
    yield made
    await asyncio.to_thread(made.end)


@pytest.fixture(scope="module")
def port() -> int:
    """A port that a server may have again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
async def address(steward: Steward, port: int) -> str:
    """A server of the demo firm, as `make serve` starts it."""
    return await asyncio.to_thread(serve, steward, port)


def serve(steward: Steward, port: int, **more: str) -> str:
    """Start a server of the demo firm on its port; gives its address."""
    return steward.serve(DEMO="true", PORT=str(port), EMBEDDED_PACE=PACE, **more)[1]


async def end(steward: Steward, kind: signal.Signals) -> None:
    """End the server that was started last."""
    process = steward.running[-1]
    process.send_signal(kind)
    await asyncio.to_thread(process.wait)


@pytest.fixture
async def context(chromium: Browser) -> AsyncIterator[BrowserContext]:
    """A browser of somebody's own."""
    opened = await chromium.new_context(viewport={"width": 1440, "height": 900}, permissions=["clipboard-read"])
    yield opened
    await opened.close()


@pytest.fixture
async def other(chromium: Browser) -> AsyncIterator[BrowserContext]:
    """The browser of somebody else."""
    opened = await chromium.new_context(viewport={"width": 1440, "height": 900}, permissions=["clipboard-read"])
    yield opened
    await opened.close()


def words(message: Any) -> str:
    """The texts of a whole message."""
    return "".join(block.get("text", "") for block in message["blocks"])


def told_after(seen: list[Any]) -> str:
    """How long the first event took, in a sentence."""
    return f"The page showed the first event {seen[0]['after']:.0f} ms after the press of the button."


def spoken(events: list[Any]) -> str:
    """The texts of an answer, as they have grown."""
    return "".join(event["text"] for event in events if event["__typename"] == "TextDelta")


async def test_an_answer_grows_in_the_tab_ask(address: str, context: BrowserContext) -> None:
    tab = await tab_of(context)
    await tab.sign_in(address, ASHA)
    await tab.run("Ask")
    await tab.see('"RunCompleted"')
    seen = await tab.seen()
    print(told_after(seen))  # noqa: T201 - shown by `make browser`
    # Each on top of the pane, when it came.
    kinds = [each["kind"] for each in seen]
    assert kinds[-1] == "RunCompleted"
    assert {"AgentStatus", "TextDelta"} < set(kinds)
    told = await tab.told()
    assert [event["__typename"] for event in told][:2] == ["MessagePosted", "RunStarted"]
    assert sum(event["__typename"] == "TextDelta" for event in tab.events) > sum(
        event["__typename"] == "TextDelta" for event in told
    )
    assert "Rajesh Kumar" in spoken(told) == spoken(tab.events)
    # The last words may have come in the whole answer alone, which then stands for them.
    assert words(told[-1]["message"]).startswith(spoken(told))
    # Pressed again it is the same question, and the whole answer is there.
    await tab.run("Ask")
    await tab.see('"RunCompleted"')
    (*_, again) = await tab.told()
    assert again == told[-1]
    assert tab.console == []


async def test_two_tabs_and_a_participant_of_equal_rights_see_the_same(
    address: str, context: BrowserContext, other: BrowserContext
) -> None:
    asking, beside, reading = await tab_of(context), await tab_of(context), await tab_of(other)
    for tab, who in ((asking, ASHA), (beside, ASHA), (reading, MEERA)):
        await tab.sign_in(address, who)
    await asking.run("SendMessage")
    await asking.see('"RUNNING"')
    conversation = (await asking.shown())["data"]["sendMessage"]["conversation"]["id"]
    await asking.run("ConversationLive")
    await asking.see('"RunCompleted"')
    await asking.run("ShareConversation")
    await asking.see('"Meera Joshi"')
    for tab in (beside, reading):
        await tab.run("Conversations")
        await tab.see('"totalCount"')
        # The tabs after it go on with the first of them.
        assert (await tab.shown())["data"]["conversations"]["nodes"][0]["id"] == conversation
        await tab.run("ConversationLive")
        await expect(tab.page.get_by_role("button", name="Stop query")).to_be_visible()
    given = {"content": "What are the holdings of Rajesh Kumar?", "conversationId": "conversation_…"}
    before = len(asking.events)
    await asking.run("Ask", {"input": {**given, "idempotencyKey": "for all three"}})
    for tab in (asking, beside, reading):
        await tab.see('"RunCompleted"')
    print(told_after(await asking.seen()))  # noqa: T201 - as above
    del asking.events[:before]
    # What all three tabs ask for: of each event its place, and of most what it tells.
    first, *others = [[picked(event) for event in tab.events] for tab in (asking, beside, reading)]
    assert first[0]["__typename"] == "MessagePosted"
    for told in others:
        alike(first, told)
    for tab in (asking, beside, reading):
        shown = await tab.told()
        assert picked(shown[-1]) == first[-1]
        assert first[-1]["words"].startswith(spoken(shown))
    assert [tab.console for tab in (asking, beside, reading)] == [[], [], []]


def picked(event: Any) -> Any:
    """What the samples Ask and ConversationLive both ask for of an event."""
    names = ("__typename", "cursor", "line", "state", "position", "start", "text")
    found = {name: event[name] for name in names if name in event}
    if event["__typename"] in {"MessagePosted", "RunCompleted"}:
        found["words"] = words(event["message"])
    return found


def alike(one: list[Any], other: list[Any]) -> None:
    """Fail unless two were told the same: the last deltas in words, or in the whole answer that stands for them."""
    assert one[-1] == other[-1]
    both = min(len(one), len(other)) - 1
    assert one[:both] == other[:both]
    assert spoken(one[:both])
    assert one[-1]["words"].startswith(max(spoken(one), spoken(other), key=len))


async def test_an_answer_goes_on_in_the_page_when_the_server_is_killed_and_started_again(
    address: str, context: BrowserContext, steward: Steward, port: int
) -> None:
    tab = await tab_of(context)
    await tab.sign_in(address, ASHA)
    question = "What does Rajesh Kumar hold, which orders are there, and how much cash?"
    await tab.run("Ask", {"input": {"content": question, "idempotencyKey": "through a kill"}})
    await tab.see('"TextDelta"')
    await end(steward, signal.SIGKILL)
    before = len(tab.events)
    assert tab.events[-1]["__typename"] not in ENDS
    await asyncio.to_thread(serve, steward, port)
    await tab.see('"RunCompleted"')
    cursors = [event["cursor"] for event in tab.events]
    assert len(cursors) == len(set(cursors)) > before
    told = await tab.told()
    assert [event["__typename"] for event in told].count("MessagePosted") == 1
    assert words(told[-1]["message"]).startswith(spoken(told))
    # Nothing else is said: the editor fetches some of its files as late as they are wanted.
    assert all(any(lost in line for lost in LOST) for line in tab.console), tab.console


async def test_an_answer_of_an_endpoint_grows_in_the_tab_as_well(
    address: str, context: BrowserContext, steward: Steward, port: int
) -> None:
    # The last of these tests, for it ends the server of the others.
    await end(steward, signal.SIGTERM)
    async with speaking(Imitating(float(PACE))) as model:
        await asyncio.to_thread(lambda: serve(steward, port, OPENAI_BASE_URL=model.base_url, OPENAI_API_KEY=KEY))
        tab = await tab_of(context)
        await tab.sign_in(address, ASHA)
        question = "What are the holdings of Rajesh Kumar?"
        await tab.run("Ask", {"input": {"content": question, "idempotencyKey": "of an endpoint"}})
        await tab.see('"RunCompleted"')
        # Before it goes: a title may still be asked for.
        await end(steward, signal.SIGTERM)
    print(told_after(await tab.seen()))  # noqa: T201 - as above
    assert question in str(model.asked[0].messages)
    told = await tab.told()
    assert "Rajesh Kumar" in spoken(told)
    assert words(told[-1]["message"]).startswith(spoken(told))
