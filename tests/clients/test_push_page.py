"""The service worker of docs/push.md shows messages in Chromium, which gets them as from a push service."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import CDPSession, Page, async_playwright

from models.delivery.messages import Message
from models.delivery.push_content import web_push_content
from tests.clients.drivers.play_browser import FLAGS
from tests.clients.install import CHROMIUM
from tests.support.fcm import push_message
from tests.support.paths import ROOT

pytestmark = pytest.mark.clients

LINK = "https://shop.example/"
WITHIN_S = 20.0
WORKER = next(
    code
    for code in re.findall(r"```js\n(.*?)```", (ROOT / "docs" / "push.md").read_text(), re.DOTALL)
    if 'addEventListener("push"' in code
)
REGISTER = "navigator.serviceWorker.register('/worker.js').then(() => navigator.serviceWorker.ready).then(() => 1)"
SHOWN = """navigator.serviceWorker.ready.then((registration) => registration.getNotifications())
    .then((all) => all.map((one) => [one.title, one.body, one.data]))"""


class PushedPage:
    """A page in Chromium whose service worker is that of the documentation."""

    def __init__(self, page: Page, session: CDPSession, origin: str) -> None:
        self._page = page
        self._session = session
        self._origin = origin
        self._registration: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def register(self) -> None:
        """Register the service worker, and wait until it is active."""
        self._session.on("ServiceWorker.workerRegistrationUpdated", self._updated)
        await self._session.send("ServiceWorker.enable")
        await self._page.evaluate(REGISTER)

    async def push(self, message: Message) -> None:
        """Deliver a message to the service worker."""
        registration = await asyncio.wait_for(self._registration, WITHIN_S)
        content = web_push_content(message, unsubscribe=None, link=LINK).decode()
        given = {"origin": self._origin, "registrationId": registration, "data": content}
        await self._session.send("ServiceWorker.deliverPushMessage", given)

    async def until_shown(self, *bodies: str) -> list[list[Any]]:
        """Wait until the notifications have exactly these texts, and return them."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                shown: list[list[Any]] = await self._page.evaluate(SHOWN)
                if sorted(one[1] for one in shown) == sorted(bodies):
                    return shown
                await asyncio.sleep(0.02)

    def _updated(self, event: dict[str, Any]) -> None:
        if event["registrations"] and not self._registration.done():
            self._registration.set_result(event["registrations"][0]["registrationId"])


async def _page(_: web.Request) -> web.Response:
    return web.Response(text="<p>shop", content_type="text/html")


async def _worker(_: web.Request) -> web.Response:
    return web.Response(text=WORKER, content_type="text/javascript")


@pytest.fixture
async def pushed_page() -> AsyncIterator[PushedPage]:
    """An open page whose service worker is active."""
    application = web.Application()
    application.router.add_get("/", _page)
    application.router.add_get("/worker.js", _worker)
    server = TestServer(application)
    await server.start_server()
    origin = f"http://localhost:{server.port}"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        context = await browser.new_context(permissions=["notifications"])
        page = await context.new_page()
        await page.goto(origin)
        made = PushedPage(page, await context.new_cdp_session(page), origin)
        await made.register()
        yield made
        await browser.close()
    await server.close()


async def test_a_marketing_message_is_shown_and_the_next_one_of_its_rule_replaces_it(pushed_page: PushedPage) -> None:
    first, second = push_message(1), push_message(2)

    await pushed_page.push(first)
    await pushed_page.until_shown("Hello Ada 1")
    await pushed_page.push(second)

    assert await pushed_page.until_shown("Hello Ada 2") == [
        ["Grüße, Ada", "Hello Ada 2", {"perennial_message": second.id, "perennial_link": LINK}]
    ]


async def test_a_transactional_message_that_was_sent_twice_is_shown_once_beside_others(pushed_page: PushedPage) -> None:
    first, second = (push_message(n, category="transactional") for n in (1, 2))

    await pushed_page.push(first)
    await pushed_page.push(first)
    await pushed_page.push(second)

    assert len(await pushed_page.until_shown("Hello Ada 1", "Hello Ada 2")) == 2
