"""The partitions that a worker has open, as the answers about them read them, and the form of these answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import msgspec
from aiohttp import web

from models.batch import Restored
from models.fold.versions import Versions


class OpenPartition(NamedTuple):
    """A partition that a worker has: its committed state, its clock in milliseconds, and the versions in use."""

    state: Restored
    now: int
    versions: Versions


OpenPartitions: TypeAlias = Callable[[], Iterator[OpenPartition]]
"""Yield the partitions that a worker has."""


def answer(content: object) -> web.Response:
    """Return an answer in JSON."""
    return web.Response(body=msgspec.json.encode(content), content_type="application/json")
