"""Credentials of a request: the write keys in its header and its query."""

from __future__ import annotations

import base64
import binascii

from aiohttp import web


def request_keys(request: web.Request) -> list[bytes]:
    """Return the write keys outside of a request's body: the user name of HTTP Basic, and ``writeKey`` in the query."""
    found = [key.encode("utf-8", "surrogatepass") for key in request.query.getall("writeKey", ())]
    basic = _basic_name(request.headers.get("Authorization", ""))
    return found if basic is None else [basic, *found]


def _basic_name(header: str) -> bytes | None:
    """User name of an ``Authorization: Basic`` header; ``None`` where there is none that can be read."""
    scheme, _, said = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(said.strip(), validate=True).partition(b":")[0]
    except (binascii.Error, ValueError):
        return None
