"""Answers of a worker about segments by rule, lifecycle and scores of buyers in its partitions.

::

    GET /v1/segments                        sizes of all segments, for each partition that this worker has
    GET /v1/segments/NAME                   counted members of one segment, for each partition that this worker has
    GET /v1/segments/NAME/members?partition=3&after=USER
                                            a slice of the members in one partition, sorted by their ids
    GET /v1/lifecycle                       users by stage and their moves, for each partition that this worker has
    GET /v1/rfm                             buyers by the version of their cut points, for each partition
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from models.batch import Restored
from models.fold.buyer_view import buyers_of
from models.fold.segment_view import members_of, sizes, slice_of
from models.fold.stage_view import stages_of
from stream.lookup.open_partitions import OpenPartitions, answer
from stream.lookup.refusals import HttpRefusal


class SegmentAnswers:
    """The answers about segments by rule.

    Parameters
    ----------
    partitions
        Function that yields the partitions that this worker has.
    state_of
        Function that returns the state of one partition; it raises ``HttpRefusal`` if this worker does not have it.
    """

    def __init__(self, partitions: OpenPartitions, state_of: Callable[[int], Restored]) -> None:
        self._partitions = partitions
        self._state_of = state_of

    def __repr__(self) -> str:
        return f"SegmentAnswers({self._partitions!r})"

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the paths."""
        router.add_get("/v1/segments", self._sizes)
        router.add_get("/v1/lifecycle", self._stages)
        router.add_get("/v1/rfm", self._buyers)
        router.add_get("/v1/segments/{segment:[^/]+}", self._members)
        router.add_get("/v1/segments/{segment:[^/]+}/members", self._slice)

    async def _sizes(self, request: web.Request) -> web.Response:  # noqa: ARG002 - aiohttp's signature
        return answer([sizes(one.state, one.versions, one.now) for one in self._partitions()])

    async def _stages(self, request: web.Request) -> web.Response:  # noqa: ARG002 - aiohttp's signature
        return answer([stages_of(one.state, one.versions, one.now) for one in self._partitions()])

    async def _buyers(self, request: web.Request) -> web.Response:  # noqa: ARG002 - aiohttp's signature
        return answer([buyers_of(one.state, one.versions, one.now) for one in self._partitions()])

    async def _members(self, request: web.Request) -> web.Response:
        name = request.match_info["segment"]
        return answer([members_of(one.state, name, one.now) for one in self._partitions()])

    async def _slice(self, request: web.Request) -> web.Response:
        partition = request.query.get("partition", "")
        if not (partition.isascii() and partition.isdigit()):
            raise HttpRefusal(400, "bad_number", f"partition: found {partition!r}; allowed: the number of a partition")
        state = self._state_of(int(partition))
        return answer(slice_of(state, request.match_info["segment"], request.query.get("after", "")))
