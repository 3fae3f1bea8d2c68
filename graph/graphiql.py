"""GraphiQL at `/graphql` in the browser: the page, its files from our own address, and the bundle they come from."""

import asyncio
import base64
import fcntl
import hashlib
import html
import logging
import os
import shutil
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from graph.disclosure import Introspection

log = logging.getLogger(__name__)

ADDRESS: Final = "/graphiql"
SOURCES: Final = f"{ADDRESS}/src"
PUBLIC: Final = "https://esm.sh"
# Where there is no registry the page waits until npm gives up, so that must not take npm's own several minutes.
INSTALL: Final = ("npm", "ci", "--loglevel=error", "--fetch-retries=1", "--fetch-timeout=30000")
BUILD: Final = ("npm", "run", "build", "--silent")
# Python knows fonts by the machine's list of types alone, and slim images have none.
MEDIA_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
# Where the modules of GraphiQL come from without a bundle: each with its dependencies, but for those that must be one.
PUBLIC_MODULES: Final[Mapping[str, str]] = {
    "react": "react@{react}",
    "react/": "react@{react}/",
    "react-dom": "react-dom@{react-dom}",
    "react-dom/": "react-dom@{react-dom}/",
    "graphql": "graphql@{graphql}",
    "graphql-ws": "graphql-ws@{graphql-ws}?standalone&external=graphql",
    "graphiql": "graphiql@{graphiql}?standalone&external=react,react-dom,@graphiql/react,graphql",
    "graphiql/": "graphiql@{graphiql}/",
    "@graphiql/react": "@graphiql/react@{@graphiql/react}"
    "?standalone&external=react,react-dom,graphql,@graphiql/toolkit,@emotion/is-prop-valid",
    "@graphiql/toolkit": "@graphiql/toolkit@{@graphiql/toolkit}?standalone&external=graphql",
}


def _policy(*hosts: str, scripts: str = "") -> str:
    """What the page may load and reach: files and the API at our own address, and other hosts where they are named.

    The editor writes style elements of its own, whose texts change as people type, and which hold the lines that it
    draws under mistakes as pictures; no script may do that.
    """
    sources = " ".join(("'self'", *hosts))
    # GraphiQL's own style sheet holds fonts; our bundle has them as files.
    data = " data:" if hosts else ""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {sources} {scripts}".strip(),
            f"style-src {sources} 'unsafe-inline'",
            f"font-src {sources}{data}",
            f"img-src {sources} data:",
            f"connect-src {sources}",
            f"worker-src {sources} blob:" if hosts else "worker-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


OUR_PAGE: Final = _policy()


class Operation(msgspec.Struct, frozen=True):
    """A sample operation: its file's name without the ending, its comment header, its text and its variables."""

    name: str
    description: str
    query: str
    variables: Mapping[str, Any]


class DemoSignIn(msgspec.Struct, frozen=True):
    """A sign-in of the demo firm that the page offers, by name and role."""

    name: str
    role: str
    email: str
    password: str


class Manifest(msgspec.Struct, frozen=True):
    """The files of the bundle that the page names; they load the others."""

    script: str
    style: str
    icon: str


def operations(directory: Path) -> list[Operation]:
    """The operations `NN-name.graphql` of a directory, by name; variables lie beside one as `NN-name.json`."""
    return [_operation(path) for path in sorted(directory.glob("*.graphql"))]


def _operation(path: Path) -> Operation:
    query = path.read_text("utf-8")
    header: list[str] = []
    for line in query.splitlines():
        if not line.startswith("#"):
            break
        header.append(line.lstrip("#").strip())
    beside = path.with_suffix(".json")
    variables = msgspec.json.decode(beside.read_bytes(), type=dict[str, Any]) if beside.exists() else {}
    return Operation(name=path.stem, description=" ".join(header), query=query, variables=variables)


class Files(StaticFiles):
    """Files whose folder may appear, and change, while the server runs."""

    def __init__(self, directory: Path, cache_control: str) -> None:
        super().__init__(directory=directory, check_dir=False)
        self.cache_control = cache_control

    async def check_config(self) -> None:
        """Nothing to check: a missing folder is a missing file."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, with its type and how long a browser may keep it."""
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = self.cache_control
        if media_type := MEDIA_TYPES.get(Path(path).suffix):
            response.headers["content-type"] = media_type
        return response


class Explorer:
    """The page and its files.

    `web` is the folder with GraphiQL's sources, in whose `dist` the bundle lies or will lie. `sign_ins` are offered to
    whoever opens the page, which asks for the schema when `introspection` lets it. In development alone it falls back
    on public addresses where there is no bundle.
    """

    def __init__(
        self,
        web: Path,
        operations: Sequence[Operation],
        sign_ins: Sequence[DemoSignIn] = (),
        *,
        introspection: Introspection = Introspection.SIGNED_IN,
        development: bool,
    ) -> None:
        self.web = web
        self.development = development
        tabs = [_tab(each) for each in operations]
        self.config = _embedded({"operations": tabs, "signIns": sign_ins, "introspection": introspection})
        self.preparing = False
        # The bundle's names change with what the files hold, so a browser may keep them for good.
        self.routes: list[BaseRoute] = [
            Mount(SOURCES, Files(web / "src", "no-cache")),
            Mount(ADDRESS, Files(web / "dist", "public, max-age=31536000, immutable")),
        ]

    async def prepare(self) -> None:
        """Bundle what is not bundled yet; meanwhile the page asks to wait. Runs beside the server, until cancelled."""
        self.preparing = shutil.which("npm") is not None
        try:
            await bundle(self.web)
        finally:
            self.preparing = False

    async def page(self, _request: Request) -> Response:
        """GraphiQL, for the API at the page's own address."""
        if manifest := _manifest(self.web):
            return self._graphiql(_bundled(manifest), manifest.icon, OUR_PAGE)
        if self.preparing:
            return _notice("GraphiQL is being put together. This page reloads by itself.", reload_after=2)
        if self.development:
            imports = _public_imports(self.web)
            return self._graphiql(_public(imports), "src/icon.svg", _public_page(imports))
        return _notice("GraphiQL is not built on this server. Build it with: make web")

    def _graphiql(self, head: str, icon: str, policy: str) -> Response:
        head = f'<link rel="icon" href="{ADDRESS}/{icon}">\n{head}'
        # Data is no script to a content security policy, so nothing here needs 'unsafe-inline'.
        body = f'<div id="page"></div>\n<script type="application/json" id="config">{self.config}</script>'
        return _document(head, body, policy)


def _tab(operation: Operation) -> Mapping[str, str]:
    variables = msgspec.json.format(msgspec.json.encode(operation.variables)).decode() if operation.variables else ""
    shown = {"name": operation.name, "description": operation.description, "query": operation.query}
    return shown | {"variables": variables}


def _embedded(value: Any) -> str:
    """JSON that is safe inside a script element, whatever its texts hold."""
    return msgspec.json.encode(value).decode().replace("<", "\\u003c")


def _document(head: str, body: str, policy: str, status: int = 200) -> Response:
    document = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Steward</title>
{head}
</head>
<body>
{body}
</body>
</html>
"""
    # The page may hold the demo firm's sign-ins, and names files that the next bundle replaces.
    return HTMLResponse(document, status, headers={"cache-control": "no-store", "content-security-policy": policy})


def _notice(text: str, *, reload_after: int | None = None) -> Response:
    again = "" if reload_after is None else f'<meta http-equiv="refresh" content="{reload_after}">'
    head = f'<link rel="icon" href="{SOURCES}/icon.svg">\n<link rel="stylesheet" href="{SOURCES}/style.css">\n{again}'
    name = '<header class="steward-bar"><span class="steward-name">Steward</span></header>'
    return _document(head, f'{name}\n<p class="steward-message">{html.escape(text)}</p>', OUR_PAGE, status=503)


def _bundled(manifest: Manifest) -> str:
    return f"""<link rel="stylesheet" href="{ADDRESS}/{manifest.style}">
<script type="module" src="{ADDRESS}/{manifest.script}"></script>"""


def _public_imports(web: Path) -> str:
    """Where the page's modules come from without a bundle, in the locked versions: an import map."""
    packages = msgspec.json.decode((web / "package-lock.json").read_bytes())["packages"]
    versions = {path.removeprefix("node_modules/"): package["version"] for path, package in packages.items() if path}
    imports = {name: f"{PUBLIC}/{address}".format_map(versions) for name, address in PUBLIC_MODULES.items()}
    # An optional dependency of GraphiQL's animations, which the public address would ask for.
    imports["@emotion/is-prop-valid"] = f"{SOURCES}/nothing.js"
    return _embedded({"imports": imports})


def _public(imports: str) -> str:
    """The same page from public addresses, with our own modules as they are."""
    graphiql = msgspec.json.decode(imports)["imports"]["graphiql/"]
    return f"""<link rel="stylesheet" href="{graphiql}dist/style.css">
<link rel="stylesheet" href="{SOURCES}/style.css">
<script type="importmap">{imports}</script>
<script type="module" src="{SOURCES}/public.js"></script>"""


def _public_page(imports: str) -> str:
    """The policy of that page: the import map is named by its digest, for a script in the page needs that."""
    digest = base64.b64encode(hashlib.sha256(imports.encode()).digest()).decode()
    return _policy(PUBLIC, scripts=f"'sha256-{digest}'")


def _manifest(web: Path) -> Manifest | None:
    try:
        return msgspec.json.decode((web / "dist" / "manifest.json").read_bytes(), type=Manifest)
    except (FileNotFoundError, msgspec.DecodeError):
        # A manifest that cannot be read is an older version's; the bundle of this one is on its way.
        return None


def is_fresh(web: Path) -> bool:
    """Whether there is a bundle, and none of its sources is newer."""
    manifest = web / "dist" / "manifest.json"
    sources = [web / "package-lock.json", web / "build.js", *(web / "src").iterdir()]
    return manifest.exists() and manifest.stat().st_mtime >= max(source.stat().st_mtime for source in sources)


class BundleError(Exception):
    """npm ended with an error, of which the text is one line."""

    def __init__(self, command: Sequence[str], text: str) -> None:
        super().__init__(f"{' '.join(command[:2])}: {text}")
        self.command = command


async def bundle(web: Path) -> None:
    """Bundle GraphiQL into `dist` where npm is and the bundle is missing or old.

    A failure is one line in the log: the server does without. On cancellation npm ends with all its children.
    """
    if shutil.which("npm") is None or is_fresh(web):
        return
    started = time.monotonic()
    try:
        await install_and_build(web)
    except (BundleError, OSError) as error:
        log.warning("GraphiQL could not be bundled: %s", error)
    else:
        log.info("GraphiQL was bundled in %.0f s", time.monotonic() - started)


async def install_and_build(web: Path) -> None:
    """Bundle GraphiQL, unless another process of this checkout has just done it. Raises BundleError."""
    async with _alone(web) as lock:
        if not is_fresh(web):
            await _run(INSTALL, web, lock)
            await _run(BUILD, web, lock)


@asynccontextmanager
async def _alone(web: Path) -> AsyncIterator[int]:
    """One at a time among the servers of a checkout, for npm would empty node_modules under the other's feet."""
    lock = os.open(web / "package-lock.json", os.O_RDONLY)
    try:
        while not _locks(lock):  # noqa: ASYNC110 - another process holds it, which sets no event of ours.
            await asyncio.sleep(0.5)
        yield lock
    finally:
        os.close(lock)


def _locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _run(command: Sequence[str], web: Path, lock: int) -> None:
    # npm holds the lock too: where a server is killed, npm goes on without it, and the next server waits.
    process = await asyncio.create_subprocess_exec(
        *command, cwd=web, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, start_new_session=True, pass_fds=(lock,)
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        lines = output.decode(errors="replace").splitlines()
        raise BundleError(command, next(filter(_says_why, lines), f"exit code {process.returncode}"))


def _says_why(line: str) -> bool:
    return "error" in line.lower()
