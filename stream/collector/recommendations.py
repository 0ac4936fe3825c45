"""``GET /v1/users/USER/recommendations?k=10`` at the HTTP door: the answer of the worker that owns the user."""

from __future__ import annotations

import logging

from aiohttp import web

from models.errors import InvalidEvent
from stream.collector.answers import HttpRefusal, unavailable
from stream.collector.readers import Readers
from stream.lookup.client import LookupFailed
from stream.lookup.owners import Owners
from stream.lookup.wanted import ALLOWED, DEFAULT, recommendations_wanted

log = logging.getLogger(__name__)

ADDRESS = "/v1/users/{user:[^/]+}/recommendations"
"""Address for the router. Its own pattern for ``{user}`` would refuse braces in an id."""


class Recommendations:
    """Answers servers and pages that ask what to recommend to a user.

    Parameters
    ----------
    readers
        Who may ask.
    owners
        The workers.
    """

    def __init__(self, readers: Readers, owners: Owners) -> None:
        self._readers = readers
        self._owners = owners

    async def answer(self, request: web.Request) -> web.Response:
        """Answer as the worker does; 503 while none of them can."""
        user = request.match_info["user"]
        self._readers.check(request, user)
        asked = request.query.get("k", DEFAULT)
        wanted = recommendations_wanted(asked)
        if wanted is None:
            raise HttpRefusal(400, InvalidEvent("bad_number", "k", ascii(asked), ALLOWED))
        try:
            body = await self._owners.ask(user, f"/recommendations?k={wanted}")
        except LookupFailed as error:
            # Pages read this answer, so it names no addresses of the workers.
            log.info("recommendations cannot be answered: %s", error)
            raise unavailable("no worker can answer for this user now") from error
        headers = {"Cache-Control": "no-store"}  # the next click changes it
        return web.Response(body=body, content_type="application/json", charset="utf-8", headers=headers)
