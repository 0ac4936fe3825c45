"""Asking the workers about a user: each in turn, until the one answers that owns the user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aiohttp
import orjson
from yarl import URL

from models.errors import PerennialError

TIMEOUT_S = 5.0
FEW = 3
"""Addresses that a message names one by one."""


class LookupFailed(PerennialError):
    """No worker gave an answer; the message says what to do."""


class UnknownUser(LookupFailed):
    """The worker that owns the partition knows nobody of that name."""


async def ask(addresses: Sequence[str], path: str) -> bytes:
    """Ask for ``path``, such as ``/v1/users/u1``.

    Parameters
    ----------
    addresses
        ``http://host:port`` of each worker.
    path
        With its query.

    Returns
    -------
    bytes
        The answer's body.

    Raises
    ------
    UnknownUser
        404.
    LookupFailed
        No worker runs, none owns the partition, or the owner is not ready.
    """
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:
        _, body = await find(session, addresses, path)
        return body


async def find(session: aiohttp.ClientSession, addresses: Sequence[str], path: str) -> tuple[str, bytes]:
    """Ask for ``path`` over an open session; returns who answered, and the body. Raises as :func:`ask`."""
    said: list[str] = []
    for address in addresses:
        try:
            # encoded already: an id may be `..`, which is no step of a path here
            async with session.get(URL(address + path, encoded=True)) as answer:
                body = await answer.read()
                if answer.status == 200:
                    return address, body
                message = _message(body)
                if answer.status == 404:
                    raise UnknownUser(message)
                if answer.status != 421:
                    raise LookupFailed(message)
                said.append(message)
        except (aiohttp.ClientError, TimeoutError):
            continue  # nobody there, or somebody else, who speaks no HTTP
    if said:
        raise LookupFailed(f"no worker that runs here owns this user ({said[0]})")
    asked = ", ".join(addresses)
    if len(addresses) > FEW:
        asked = f"{addresses[0]} to {addresses[-1]} ({len(addresses)} addresses)"
    raise LookupFailed(f"no worker answers at {asked}; start one with: perennial up, or perennial worker")


async def ask_json(addresses: Sequence[str], path: str) -> dict[str, Any]:
    """Ask for ``path`` and read the answer as JSON; raises as :func:`ask`."""
    answer: dict[str, Any] = orjson.loads(await ask(addresses, path))
    return answer


def _message(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["error"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return body.decode("utf-8", "replace")[:200]
