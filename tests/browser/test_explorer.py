import asyncio
import fcntl
import json
import logging
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, Route
from starlette.applications import Starlette
from starlette.routing import Route as At

from graph.graphiql import DemoSignIn, Explorer, Operation, bundle, is_fresh, operations

WEB = Path(__file__).parents[2] / "web"
ORIGIN = "http://steward.test"
MANIFEST = {"script": "main-1.js", "style": "main-2.css", "icon": "icon-3.svg"}
# Every name that our modules import from another package, as a module that only notes the page's first drawing.
STUB = """
const none = () => undefined;
export const createElement = none, useEffect = none, useMemo = none, useState = none, useSyncExternalStore = none;
export const GraphiQL = none, HISTORY_PLUGIN = {}, useGraphiQL = none, useGraphiQLActions = none;
export const Kind = {}, parse = none, createClient = none;
export const createRoot = () => ({ render: () => { document.title = 'drawn'; } });
"""


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """GraphiQL's sources, not bundled."""
    shutil.copytree(WEB / "src", tmp_path / "src")
    for name in ("package-lock.json", "build.js"):
        shutil.copy(WEB / name, tmp_path)
    return tmp_path


def built(web: Path, files: Mapping[str, str]) -> None:
    (web / "dist").mkdir()
    for name, text in files.items():
        (web / "dist" / name).write_text(text)
    (web / "dist" / "manifest.json").write_text(json.dumps(MANIFEST))


def client(explorer: Explorer) -> httpx.AsyncClient:
    app = Starlette(routes=[*explorer.routes, At("/graphql", explorer.page)])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN)


async def read(explorer: Explorer, path: str) -> httpx.Response:
    async with client(explorer) as http:
        return await http.get(path)


def fake_npm(web: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """An `npm` that notes its calls, for what npm does takes a registry and half a minute."""
    program = web / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$1" >> calls\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return web / "calls"


WRITES_A_BUNDLE = f"""
sleep 0.2
if [ "$1" = run ]; then mkdir -p dist; echo '{json.dumps(MANIFEST)}' > dist/manifest.json; fi
"""


def test_operations_are_read_in_order_with_header_and_variables(tmp_path: Path) -> None:
    (tmp_path / "02-b.graphql").write_text("# One line,\n# and another.\nquery B { b }\n# no header\n")
    (tmp_path / "02-b.json").write_text('{"first": 5}')
    (tmp_path / "01-a.graphql").write_text("query A { a }\n")
    first, second = operations(tmp_path)
    assert first == Operation(name="01-a", description="", query="query A { a }\n", variables={})
    assert (second.name, second.description, second.variables) == ("02-b", "One line, and another.", {"first": 5})


async def test_page_names_the_bundle_as_soon_as_it_is_there(web: Path) -> None:
    explorer = Explorer(web, [], development=False)
    missing = await read(explorer, "/graphql")
    assert missing.status_code == 503
    assert "make web" in missing.text
    assert "esm.sh" not in missing.text
    assert (await read(explorer, "/graphiql/main-1.js")).status_code == 404
    built(web, {"main-1.js": "1", "main-2.css": "2", "icon-3.svg": "3"})
    page = await read(explorer, "/graphql")
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    for name in MANIFEST.values():
        assert f'"/graphiql/{name}"' in page.text
        assert (await read(explorer, f"/graphiql/{name}")).status_code == 200


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.js", "text/javascript"),
        ("a.css", "text/css"),
        ("a.svg", "image/svg+xml"),
        ("a.woff2", "font/woff2"),
        ("a.ttf", "font/ttf"),
    ],
)
async def test_files_have_their_type_and_are_kept(web: Path, name: str, media_type: str) -> None:
    built(web, {name: "text"})
    response = await read(Explorer(web, [], development=False), f"/graphiql/{name}")
    assert response.headers["content-type"] == media_type
    assert "immutable" in response.headers["cache-control"]


@pytest.mark.parametrize("path", ["../build.js", "%2e%2e/build.js", "%2fetc%2fpasswd", "..%5cbuild.js", "a%00b", ""])
async def test_nothing_outside_the_bundle_is_served(web: Path, path: str) -> None:
    built(web, {})
    assert (await read(Explorer(web, [], development=False), f"/graphiql/{path}")).status_code == 404


async def test_texts_cannot_leave_the_pages_data(web: Path) -> None:
    built(web, {})
    sample = Operation(
        name="01-a", description="</script><script>x()", query="<!-- <script>", variables={"a": "</script>"}
    )
    sign_in = DemoSignIn(name="A & B", role="ADVISOR", email="a@example.com", password="p<w")
    page = await read(Explorer(web, [sample], [sign_in], development=True), "/graphql")
    _, _, rest = page.text.partition('id="config">')
    data, _, after = rest.partition("</script>")
    config = json.loads(data)
    assert "script" not in after
    assert config["operations"][0]["query"] == sample.query
    assert json.loads(config["operations"][0]["variables"]) == sample.variables
    assert config["signIns"] == [{"name": "A & B", "role": "ADVISOR", "email": "a@example.com", "password": "p<w"}]


async def test_page_asks_to_wait_while_npm_works(web: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_npm(web, monkeypatch, WRITES_A_BUNDLE)
    explorer = Explorer(web, [], development=True)
    preparing = asyncio.create_task(explorer.prepare())
    await asyncio.sleep(0)
    waiting = await read(explorer, "/graphql")
    assert waiting.status_code == 503
    assert 'http-equiv="refresh"' in waiting.text
    await preparing
    assert "/graphiql/main-1.js" in (await read(explorer, "/graphql")).text


async def test_bundle_is_built_once_by_two_servers(web: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_npm(web, monkeypatch, WRITES_A_BUNDLE)
    await asyncio.gather(bundle(web), bundle(web))
    assert calls.read_text().split() == ["ci", "run"]
    await bundle(web)
    assert calls.read_text().split() == ["ci", "run"]


async def test_changed_source_is_bundled_again(web: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_npm(web, monkeypatch, WRITES_A_BUNDLE)
    await bundle(web)
    later = (web / "dist" / "manifest.json").stat().st_mtime + 1
    os.utime(web / "src" / "app.js", (later, later))
    assert not is_fresh(web)
    await bundle(web)
    assert calls.read_text().split() == ["ci", "run", "ci", "run"]


async def test_failed_bundle_is_one_line_in_the_log(
    web: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake_npm(web, monkeypatch, "echo something first; echo error: no registry >&2; echo a log; exit 1")
    with caplog.at_level(logging.INFO, "graph.graphiql"):
        await bundle(web)
    assert [record.getMessage() for record in caplog.records] == [
        "GraphiQL could not be bundled: npm ci: error: no registry"
    ]


async def test_cancelled_bundle_leaves_no_process(web: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_npm(web, monkeypatch, "sleep 300 & touch started; wait")
    work = asyncio.create_task(bundle(web))
    async with asyncio.timeout(20):
        while not (web / "started").exists():  # noqa: ASYNC110 - a file of another process sets no event.
            await asyncio.sleep(0.02)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert calls.read_text().split() == ["ci"]
    # npm and its children hold the lock that they were started with: it is free once all of them have ended.
    with (web / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.fixture
async def public(page: Page, web: Path) -> AsyncIterator[list[str]]:
    """The addresses outside that a page without a bundle asks for; what they would give is a stub."""
    asked: list[str] = []
    http = client(Explorer(web, [], development=True))

    async def inside(route: Route) -> None:
        response = await http.get(route.request.url)
        await route.fulfill(status=response.status_code, headers=dict(response.headers), body=response.content)

    async def outside(route: Route) -> None:
        asked.append(route.request.url)
        kind = "text/css" if route.request.url.endswith(".css") else "text/javascript"
        body = "" if kind == "text/css" else STUB
        await route.fulfill(content_type=kind, body=body, headers={"access-control-allow-origin": "*"})

    await page.route(lambda url: not url.startswith(ORIGIN), outside)
    await page.route(f"{ORIGIN}/**", inside)
    async with http:
        yield asked


@pytest.mark.browser
async def test_page_without_a_bundle_takes_locked_versions_from_public_addresses(
    page: Page, public: list[str], console: list[str], web: Path
) -> None:
    await page.goto(f"{ORIGIN}/graphql")
    await page.wait_for_function("document.title === 'drawn'")
    assert console == []
    packages: dict[str, Any] = json.loads((web / "package-lock.json").read_text())["packages"]
    for name in ("react", "react-dom", "graphiql", "@graphiql/react", "graphql", "graphql-ws"):
        version = packages[f"node_modules/{name}"]["version"]
        assert any(address.startswith(f"https://esm.sh/{name}@{version}") for address in public), name
