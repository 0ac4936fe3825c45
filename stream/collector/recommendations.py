"""``GET /v1/users/USER/recommendations?k=10`` at the HTTP door: the answer of the worker that owns the user."""

from __future__ import annotations

import logging

from aiohttp import web

from models.errors import InvalidEvent
from stream.collector.answers import refusal_of, unavailable
from stream.collector.readers import Readers
from stream.lookup.client import LookupFailed
from stream.lookup.owners import Owners
from stream.lookup.wanted import ALLOWED, DEFAULT, recommendations_wanted

logger = logging.getLogger(__name__)

ADDRESS = "/v1/users/{user:[^/]+}/recommendations"
"""Path in the notation of aiohttp. The default pattern of aiohttp for ``{user}`` refuses an id with braces."""


class Recommendations:
    """The address at which servers and pages ask what to recommend to a user.

    Parameters
    ----------
    readers
        Checks who may ask.
    owners
        Client of the workers.
    """

    def __init__(self, readers: Readers, owners: Owners) -> None:
        self._readers = readers
        self._owners = owners

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve the address of recommendations."""
        router.add_get(ADDRESS, self._answer)

    async def _answer(self, request: web.Request) -> web.Response:
        """Return the answer of the worker that owns the user; raise the refusal 503 while no worker can answer."""
        user = request.match_info["user"]
        self._readers.check(request, user)
        asked = request.query.get("k", DEFAULT)
        wanted = recommendations_wanted(asked)
        if wanted is None:
            raise refusal_of(400, InvalidEvent("bad_number", "k", ascii(asked), ALLOWED))
        try:
            body = await self._owners.ask(user, f"/recommendations?k={wanted}")
        except LookupFailed as error:
            # Web pages read this answer, so it contains no addresses of workers.
            logger.info("recommendations cannot be answered: %s", error)
            raise unavailable("no worker can answer for this user now") from error
        headers = {"Cache-Control": "no-store"}  # the next click changes the answer
        return web.Response(body=body, content_type="application/json", charset="utf-8", headers=headers)
