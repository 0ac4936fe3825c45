"""Answers of a worker about journeys in its partitions.

::

    GET /v1/journeys          journeys and the numbers of their runs, for each partition that this worker has
    POST /v1/journeys/moves   what a move of runs to other versions would do (models/fold/move_prospects.py)
"""

from __future__ import annotations

import asyncio
import time

import msgspec
from aiohttp import web

from models.fold.journey_view import journeys_of
from models.fold.memo import on_wall_clock
from models.fold.move_prospects import MoveProspects, MoveQuestion, PartitionMoves
from models.log import CONTROL
from models.profile.codec import unpack
from stream.lookup.open_partitions import OpenPartition, OpenPartitions, answer
from stream.lookup.refusals import HttpRefusal

SLICE = 100
"""Number of users that are looked at in one go. Decoding more of them would delay the fold in the same process."""

_read_question = msgspec.json.Decoder(MoveQuestion).decode


class JourneyAnswers:
    """The answers about journeys.

    Parameters
    ----------
    partitions
        Function that yields the partitions that this worker has.
    """

    def __init__(self, partitions: OpenPartitions) -> None:
        self._partitions = partitions

    def __repr__(self) -> str:
        return f"JourneyAnswers({self._partitions!r})"

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the paths."""
        router.add_get("/v1/journeys", self._journeys)
        router.add_post("/v1/journeys/moves", self._moves)

    async def _journeys(self, request: web.Request) -> web.Response:  # noqa: ARG002 - aiohttp's signature
        return answer([journeys_of(one.state, one.versions, one.now) for one in self._partitions()])

    async def _moves(self, request: web.Request) -> web.Response:
        try:
            question = _read_question(await request.read())
        except msgspec.DecodeError as error:
            raise HttpRefusal(400, "bad_question", f"the body is not a question about journeys: {error}") from error
        return answer([await _moves_of(one, question) for one in list(self._partitions())])


async def _moves_of(partition: OpenPartition, question: MoveQuestion) -> PartitionMoves:
    """Count the runs of a partition, in slices between which the fold goes on."""
    now, records = partition.now, partition.state.records
    if on_wall_clock(partition.state):  # the clock of an idle partition is behind, and an order moves it
        now = max(now, time.time_ns() // 1_000_000)
    prospects = MoveProspects(question, partition.versions, now)
    for number, key in enumerate(list(records)):
        packed = records.get(key)
        if packed is not None and key[:1] != CONTROL:
            prospects.add(unpack(packed))
        if number % SLICE == SLICE - 1:
            await asyncio.sleep(0)
    return PartitionMoves(partition.state.partition, partition.now, prospects.counts)
