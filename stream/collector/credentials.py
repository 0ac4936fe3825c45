"""Credentials of a request: the write keys in its header, its query and its body."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, NamedTuple

from aiohttp import web


class BodyKeys(NamedTuple):
    """The write keys that were in a body; each may be of any JSON type.

    Attributes
    ----------
    own
        The body's key; ``None`` if it has none.
    items
        Key of each element of the body's batch, in the order of the batch; ``None`` for an element without a key.
    """

    own: object = None
    items: Sequence[object] = ()


def request_keys(request: web.Request) -> list[bytes]:
    """Return the write keys outside of a request's body: the user name of HTTP Basic, and ``writeKey`` in the query."""
    found = [key.encode("utf-8", "surrogatepass") for key in request.query.getall("writeKey", ())]
    basic = _basic_name(request.headers.get("Authorization", ""))
    return found if basic is None else [basic, *found]


def take_keys(raw: dict[str, Any]) -> BodyKeys:
    """Remove the write keys from a parsed body and from the events of its batch, and return them.

    This is the only place that removes them. So no key counts for the size of an event, and no key reaches the log.

    Examples
    --------
    >>> body = {"writeKey": "k", "batch": [{"user": "u1", "writeKey": "k1"}, {"user": "u2"}, 5]}
    >>> take_keys(body), body
    (BodyKeys(own='k', items=['k1', None, None]), {'batch': [{'user': 'u1'}, {'user': 'u2'}, 5]})
    """
    own, items = raw.pop("writeKey", None), raw.get("batch")
    if not isinstance(items, list):
        return BodyKeys(own)
    return BodyKeys(own, [item.pop("writeKey", None) if isinstance(item, dict) else None for item in items])


def _basic_name(header: str) -> bytes | None:
    """Return the user name of an ``Authorization: Basic`` header; ``None`` if there is none that can be read."""
    scheme, _, said = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(said.strip(), validate=True).partition(b":")[0]
    except (binascii.Error, ValueError):
        return None
