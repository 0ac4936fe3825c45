"""The settings that browser SDKs fetch before they send their first event.

::

    GET /v1/projects/KEY/settings      analytics-next, whose cdnURL is the door's address
    GET /sourceConfig/?writeKey=KEY    RudderStack's analytics-js, whose configUrl is the door's address

Both answers say that events go to this door, and that there are no other destinations.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from models.errors import InvalidEvent
from stream.collector.answers import json_answer, refusal_of
from stream.collector.credentials import request_keys
from stream.collector.write_keys import WriteKeys

_HEADERS = {"Cache-Control": "private, max-age=300"}
"""Headers of the answers. Answers depend on the address that was asked, so no shared cache may keep them."""
_UPDATED_AT = "2026-01-01T00:00:00.000Z"


class SdkSettings:
    """The addresses at which browser SDKs ask for their settings.

    Parameters
    ----------
    keys
        Keys for which there are settings; without any, there are settings for every key.
    public_url
        Address of this door from outside; ``None`` uses the address of each request.
    """

    def __init__(self, keys: WriteKeys, public_url: str | None) -> None:
        self._keys = keys
        self._public_url = None if public_url is None else public_url.rstrip("/")

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve both addresses, with and without a slash at the end."""
        for path, handle in (("/v1/projects/{key}/settings", self._segment), ("/sourceConfig", self._rudder)):
            router.add_get(path, handle)
            router.add_get(f"{path}/", handle)

    async def _segment(self, request: web.Request) -> web.Response:
        key = request.match_info["key"]
        if self._keys.admit([key]) is None:
            error = InvalidEvent("unknown_project", "", "another write key", "a write key of http.write_keys")
            raise refusal_of(404, error)
        protocol, _, door = (self._public_url or f"{request.scheme}://{request.host}").partition("://")
        source = {"apiKey": key, "apiHost": f"{door}/v1", "protocol": protocol}
        return _settings({"integrations": {"Segment.io": source}, "plan": {}, "metrics": {"sampleRate": 0}})

    async def _rudder(self, request: web.Request) -> web.Response:
        keys = request_keys(request)
        if self._keys.admit(keys) is None:
            error = InvalidEvent(
                "bad_write_key",
                "writeKey",
                "another" if keys else "none",
                "a write key of http.write_keys, as writeKey in the query or as the user name of HTTP Basic",
            )
            raise refusal_of(401, error)
        off = {"enabled": False}
        source = {
            "id": "perennial",
            "name": "perennial",
            "writeKey": request.query.get("writeKey") or (keys[0].decode("utf-8", "replace") if keys else ""),
            "config": {"statsCollection": {"errors": off, "metrics": off}},
            "enabled": True,
            "workspaceId": "perennial",
            "destinations": [],
            "dataplanes": {},
        }
        return _settings({"source": source, "updatedAt": _UPDATED_AT})


def _settings(content: dict[str, Any]) -> web.Response:
    return json_answer(content, headers=_HEADERS)
