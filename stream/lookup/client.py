"""Client of the workers' lookups: it asks one worker after the other, until the owner of the user answers.

The ports beside a worker's port may belong to another program, or to a worker of another installation. So an answer
counts only if it names the client's installation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import aiohttp
import orjson
from yarl import URL

from models.errors import PerennialError
from stream.lookup.identity import CLOCK, HEADER, Identity

TIMEOUT_S = 5.0
"""How long a worker may take to answer, seconds."""
COUNTING_TIMEOUT_S = 300.0
"""How long a worker may take to go through all users of its partitions, seconds."""
MAX_LISTED = 3
"""Maximum number of addresses that a message names one by one."""


class LookupFailed(PerennialError):
    """No worker answered the question; the message says what to do."""


class UnknownUser(LookupFailed):
    """The worker that owns the partition does not know the user."""


async def ask(addresses: Sequence[str], path: str, own: Identity | None = None) -> bytes:
    """Ask for ``path``, such as ``/v1/users/u1``.

    Parameters
    ----------
    addresses
        Address of each worker, as ``http://host:port``.
    path
        The path, with its query.
    own
        Identity of the client's installation. ``None`` accepts an answer of any installation; use it only for addresses
        that certainly belong to workers of the client's installation.

    Returns
    -------
    bytes
        Body of the answer.

    Raises
    ------
    UnknownUser
        The worker that owns the user's partition does not know the user.
    LookupFailed
        No worker of this installation runs, or none owns the partition, or the owner is not ready.
    BrokerUnreachable
        A worker answered, but no broker answered whether the worker belongs to this installation.
    """
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:
        _, body = await find(session, addresses, path, own)
        return body


async def find(
    session: aiohttp.ClientSession, addresses: Sequence[str], path: str, own: Identity | None
) -> tuple[str, bytes]:
    """Ask for ``path`` over an open session; return the address that answered and the body; raise as :func:`ask`."""
    address, answer = await _find(session, addresses, path, own)
    return address, answer.body


async def _find(
    session: aiohttp.ClientSession, addresses: Sequence[str], path: str, own: Identity | None
) -> tuple[str, _Answer]:
    said: list[str] = []
    others: list[str] = []
    nameless: list[str] = []
    for address in addresses:
        answer = await _get(session, address, path)
        if answer is None:
            continue
        if answer.identity is None:
            nameless.append(address)
            continue
        if own is not None and answer.identity != await asyncio.to_thread(own):
            others.append(f"{address} ({answer.identity})")
            continue
        if answer.status == 200:
            return address, answer
        message = _message(answer.body)
        if answer.status == 404:
            raise UnknownUser(message)
        if answer.status != 421:
            raise LookupFailed(message)
        said.append(message)
    if said:
        raise LookupFailed(f"no worker that runs here owns this user ({said[0]})")
    raise LookupFailed(_no_answer(addresses, others, nameless))


async def ask_each(
    addresses: Sequence[str], path: str, own: Identity | None = None, asked: bytes | None = None
) -> list[tuple[str, bytes]]:
    """Ask every worker of this installation for ``path``; return the address and the body of each.

    Parameters
    ----------
    addresses, path, own
        See :func:`ask`.
    asked
        A question that is sent to the path, as JSON. Its answer may take ``COUNTING_TIMEOUT_S``.

    Raises
    ------
    LookupFailed
        No worker of this installation runs, or one of them refused.
    BrokerUnreachable
        A worker answered, but no broker answered whether the worker belongs to this installation.
    """
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S if asked is None else COUNTING_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        answers = await asyncio.gather(*(_get(session, address, path, asked) for address in addresses))
    found, others, nameless = [], list[str](), list[str]()
    for address, answer in zip(addresses, answers, strict=True):
        if answer is None:
            continue
        if answer.identity is None:
            nameless.append(address)
        elif own is not None and answer.identity != await asyncio.to_thread(own):
            others.append(f"{address} ({answer.identity})")
        elif answer.status == 200:
            found.append((address, answer.body))
        else:
            raise LookupFailed(_message(answer.body))
    if not found:
        raise LookupFailed(_no_answer(addresses, others, nameless))
    return found


class StoredState(NamedTuple):
    """The stored state of a user, as the worker that owns the user has committed it.

    Attributes
    ----------
    packed
        The state (:mod:`models.profile.codec`).
    now
        The clock of the user's partition, milliseconds.
    """

    packed: bytes
    now: int


class _Answer(NamedTuple):
    identity: str | None
    status: int
    body: bytes
    now: int = 0


async def _get(session: aiohttp.ClientSession, address: str, path: str, asked: bytes | None = None) -> _Answer | None:
    """Ask one address; return ``None`` if no HTTP server listens there."""
    method = "GET" if asked is None else "POST"
    try:
        # The path is already encoded. An id may be `..`, which must not be resolved as a parent folder.
        url = URL(address + path, encoded=True)
        async with session.request(method, url, data=asked, allow_redirects=False) as answer:
            identity = answer.headers.get(HEADER)
            if identity is None:  # another program, whose answer may have any length
                return _Answer(None, answer.status, b"")
            return _Answer(identity, answer.status, await answer.read(), int(answer.headers.get(CLOCK, 0)))
    except (aiohttp.ClientError, TimeoutError):
        return None  # nothing listens there, or the program there is not an HTTP server


def _no_answer(addresses: Sequence[str], others: Sequence[str], nameless: Sequence[str]) -> str:
    asked = ", ".join(addresses)
    if len(addresses) > MAX_LISTED:
        asked = f"{addresses[0]} to {addresses[-1]} ({len(addresses)} addresses)"
    another = f"; a worker of another installation answers at {others[0]}" if others else ""
    if nameless and not others:
        another = f"; what answers at {nameless[0]} is another program, or a worker of an older release"
    return f"no worker answers at {asked}; start one with: perennial up, or perennial worker{another}"


async def ask_json(addresses: Sequence[str], path: str, own: Identity | None = None) -> dict[str, Any]:
    """Ask for ``path`` and read the answer as JSON. Errors are those of :func:`ask`."""
    answer: dict[str, Any] = orjson.loads(await ask(addresses, path, own))
    return answer


async def ask_state(addresses: Sequence[str], user: str, own: Identity | None = None) -> StoredState:
    """Ask for the stored state of a user. Errors are those of :func:`ask`."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:
        _, answer = await _find(session, addresses, f"/v1/users/{quote(user, safe='')}/state", own)
        return StoredState(answer.body, answer.now)


def _message(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["error"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return body.decode("utf-8", "replace")[:200]
