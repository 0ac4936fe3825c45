"""Play a story with an SDK in Chromium: ``python -m tests.clients.drivers.play_browser BRAND STORY ENDPOINT KEY``.

The page has another origin than the door: another host name and another port. Several visitors come at the same time,
in separate browser profiles. Each form of the README's snippet is used by some of them. The pages stay open until the
standard input ends, because an SDK in a browser delivers in the background without reporting the end.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from aiohttp import web
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

from tests.clients.install import CHROMIUM
from tests.clients.snippets import FILES, Snippet, snippets

# A test must not contact the services of Chromium's vendor. As root, Chromium starts only without its sandbox.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PAGES = Path(__file__).parent / "pages"
PROFILES = 4
READY_WITHIN_MS = 60_000


async def main(brand: str, story: str, endpoint: str, key: str) -> None:
    """Play the story, print the calls, and keep the pages open."""
    visitors = json.loads(Path(story).read_text())  # noqa: ASYNC240 - nothing else runs yet
    async with AsyncExitStack() as stack:
        shown = snippets(brand)
        errors: list[str] = []
        site = await _serve(stack, {snippet.form: snippet.page(endpoint, key) for snippet in shown})
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        stack.push_async_callback(browser.close)
        # A page that cannot load the SDK's settings sends nothing, so all settings are loaded before any fault begins.
        pages = [await _open(browser, f"{site}/{snippet.form}", errors) for snippet in shown * (PROFILES // len(shown))]
        reports = await asyncio.gather(
            *(_play(page, visitors[number::PROFILES], shown[number % len(shown)]) for number, page in enumerate(pages))
        )
        called = [call for report in reports for call in report["called"]]
        anonymous = {user: given for report in reports for user, given in report["anonymous"].items()}
        print(json.dumps({"called": called, "anonymous": anonymous, "errors": errors}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def _open(browser: Browser, address: str, errors: list[str]) -> Page:
    """Open a page in a separate profile, and wait until its SDK is ready."""
    context = await browser.new_context()
    page: Page = await context.new_page()
    page.set_default_timeout(READY_WITHIN_MS)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", _show)
    await page.goto(address)
    await page.evaluate("() => sdk.ready()")
    return page


async def _play(page: Page, visitors: list[dict[str, Any]], snippet: Snippet) -> dict[str, Any]:
    report: dict[str, Any] = await page.evaluate("given => play(...given)", [visitors, snippet.steps])
    return report


def _show(message: ConsoleMessage) -> None:
    # The console reports a fault of the proxy as a network error; it is no error of the SDK.
    print(f"{message.type}: {message.text}", file=sys.stderr, flush=True)


async def _serve(stack: AsyncExitStack, pages: dict[str, str]) -> str:
    """Serve pages by name, and the files that they load, on a free port; return the address of the site."""

    async def show(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name in pages:
            return web.Response(text=pages[name], content_type="text/html")
        return web.Response(status=204)  # the browser requests an icon

    async def file(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(FILES[request.path])

    app = web.Application()
    app.router.add_static("/pages", PAGES)
    app.router.add_get("/{name}", show)
    for path in FILES:
        app.router.add_get(path, file)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "localhost", 0).start()
    return f"http://localhost:{runner.addresses[0][1]}"


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
