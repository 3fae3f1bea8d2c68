import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from graph.graphiql import INSTALL, BundleError, install_and_build, is_fresh
from tests.browser.live import Live
from tests.factories.firm import Make
from tests.support.served import Served

WEB = Path(__file__).parents[2] / "web"
PATIENCE = 20_000  # milliseconds; two cores that are busy with other tests take some.
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


async def ensure_bundle() -> None:
    """Bundle these very sources. What the machine lacks is a reason to skip; a build that breaks is a failure."""
    if is_fresh(WEB):
        return
    if shutil.which("npm") is None:
        pytest.skip("GraphiQL is not bundled, and there is no npm to do it.")
    try:
        await install_and_build(WEB)
    except BundleError as error:
        if error.command == INSTALL:
            pytest.skip(f"GraphiQL's packages could not be installed: {error}")
        raise


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("There is no Chromium on this machine.")
    await ensure_bundle()
    expect.set_options(timeout=PATIENCE)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
async def page(chromium: Browser) -> AsyncIterator[Page]:
    context = await chromium.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE)
    yield await context.new_page()
    await context.close()


@pytest.fixture
def console(page: Page) -> list[str]:
    """What the browser's console says of the page and its workers: nothing, where all is well."""
    said: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    return said


@pytest.fixture
async def live(live: Served, make: Make) -> Live:
    """The application on a real socket, with an advisor to sign in as."""
    return Live(live.url, await make.advisor(), make)
