"""The HTTP server of a worker: it answers questions about the users that the worker owns, and about its health.

::

    GET /v1/users/USER                       everything about a user (models/fold/view.py)
    GET /v1/users/USER/why/SEGMENT           why a user is in a segment by rule or not (models/fold/membership_view.py);
                                             with ?events=log, the log is read for the event that decided each clause
    GET /v1/users/USER/why-not/JOURNEY       why a user is not in a journey, or gets no message of it
                                             (models/fold/journey_reasons.py)
    GET /v1/users/USER/messages              the decisions that the profile keeps (models/fold/message_view.py)
    GET /v1/users/USER/choices               consent by purpose and channel (models/fold/consent_view.py)
    GET /v1/users/USER/state                 the stored state, for tools; the header X-Now is the partition's clock
    GET /v1/users/USER/recommendations?k=10  items for a user; the newest clicks are taken into account
    GET /v1/segments, /v1/lifecycle, /v1/rfm counts of all users (stream/lookup/segment_answers.py)
    GET /health, /ready                      progress: each lane's position, lag, failures, and the time since its
                                             last commit

Status 404 means that there is no such user, segment or journey. 421 means that another worker owns the partition, and
503 that the partition is being restored. Each answer names the installation of this worker
(``stream/lookup/identity.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from models.batch import Restored
from models.errors import PerennialError
from models.fold.campaigns_in_use import CAMPAIGNS_KEY
from models.fold.consent_view import describe_choices
from models.fold.journey_reasons import JourneyNotKnown, why_not
from models.fold.journeys_in_use import JOURNEYS_KEY
from models.fold.membership_view import UnknownSegment, why
from models.fold.memo import Memo, read_memo, versions_in_use
from models.fold.message_view import describe_messages
from models.fold.versions import Versions
from models.fold.view import describe
from models.profile.codec import unpack
from models.profile.recent_items import RecentItem
from models.profile.state import Customer
from stream.cluster.partitioner import partition_of
from stream.lookup.campaign_answers import CampaignAnswers
from stream.lookup.identity import CLOCK, HEADER
from stream.lookup.journey_answers import JourneyAnswers
from stream.lookup.open_partitions import OpenPartition
from stream.lookup.refusals import HttpRefusal
from stream.lookup.segment_answers import SegmentAnswers
from stream.lookup.wanted import ALLOWED, DEFAULT, recommendations_wanted

WithEvents: TypeAlias = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""Return an answer about a segment with the events that decided each clause; it may raise ``LogUnreadable``."""


class LogUnreadable(PerennialError):
    """The log cannot be read for an answer now; the message says why, and what to do."""


class Recommends(Protocol):
    """The recommender that a worker asks."""

    def recommend(self, recent: Sequence[RecentItem], now: int, k: int, user: str = "") -> Mapping[str, Any]:
        """Return ``{"version": ..., "items": [...]}`` for a user's newest items (none for an unknown user)."""


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except HttpRefusal as refusal:
        return _json({"error": refusal.message}, status=refusal.status)


class LookupServer:
    """The lookup server of one worker.

    Parameters
    ----------
    restored
        Function that returns the committed state of a partition; ``None`` while this worker does not have it.
    owns
        Function that returns whether a partition was assigned to this worker.
    standing
        Function that returns whether this worker is ready and healthy, and the state of its lanes
        (``stream/worker/health.py``).
    partitions
        Number of partitions of ``events``.
    recommends
        The recommender; ``None`` if there is none.
    identity
        Identity of the installation.

    Attributes
    ----------
    with_events
        Function that adds the deciding events to an answer about a segment, from the log; ``None`` without one.
    """

    with_events: WithEvents | None = None

    def __init__(
        self,
        *,
        restored: Callable[[int], Restored | None],
        owns: Callable[[int], bool],
        standing: Callable[[], Mapping[str, Any]],
        partitions: int,
        recommends: Recommends | None = None,
        identity: str = "",
    ) -> None:
        self._restored = restored
        self._owns = owns
        self._standing = standing
        self._partitions = partitions
        self._recommends = recommends
        self._identity = identity
        self._searching = asyncio.Lock()
        self._versions: dict[int, tuple[dict[str, int], tuple[bytes | None, ...], Versions]] = {}
        self._runner: web.AppRunner | None = None

    def __repr__(self) -> str:
        listening = "stopped" if self._runner is None else f"at {self._runner.addresses}"
        return f"LookupServer({self._identity!r}, {listening})"

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port. For port 0, the system chooses one."""
        app = web.Application(middlewares=[_refusals])
        app.on_response_prepare.append(self._name_installation)
        user = "/v1/users/{user:[^/]+}"  # aiohttp's own pattern refuses braces
        app.router.add_get(user, self._user)
        app.router.add_get(f"{user}/why/{{segment:[^/]+}}", self._why)
        app.router.add_get(f"{user}/why-not/{{journey:[^/]+}}", self._why_not)
        app.router.add_get(f"{user}/messages", self._messages)
        app.router.add_get(f"{user}/choices", self._choices)
        app.router.add_get(f"{user}/state", self._state)
        app.router.add_get(f"{user}/recommendations", self._recommendations)
        SegmentAnswers(self._open_partitions, self._state_of).add_to(app.router)
        JourneyAnswers(self._open_partitions).add_to(app.router)
        CampaignAnswers(self._open_partitions).add_to(app.router)
        app.router.add_get("/health", self._health)
        app.router.add_get("/ready", self._ready)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _name_installation(self, request: web.Request, response: web.StreamResponse) -> None:
        del request
        response.headers[HEADER] = self._identity

    # --- users -----------------------------------------------------------------------------------------------------

    def _look_up(self, request: web.Request) -> tuple[str, int, Restored, bytes | None]:
        """Return the user, their partition, its state, and the user's stored state (``None`` for an unknown user)."""
        user = request.match_info["user"]
        if user.startswith("\x00"):  # such keys belong to the lane's own records
            raise _unknown(user)
        partition, state = self._owned(user)
        return user, partition, state, state.records.get(user.encode())

    def _owned(self, user: str) -> tuple[int, Restored]:
        partition = partition_of(user.encode(), self._partitions)
        return partition, self._state_of(partition)

    def _state_of(self, partition: int) -> Restored:
        if not self._owns(partition):
            raise HttpRefusal(421, "other_worker", f"partition {partition} belongs to another worker")
        state = self._restored(partition)
        if state is None:
            raise HttpRefusal(503, "restoring", f"partition {partition} is being restored; try again in a moment")
        return state

    def _open_partitions(self) -> Iterator[OpenPartition]:
        for partition in range(self._partitions):
            state = self._restored(partition) if self._owns(partition) else None
            if state is not None:
                memo = read_memo(state)
                yield OpenPartition(state, memo.now, self._in_use(partition, state, memo))

    def _find(self, request: web.Request) -> tuple[str, Customer, Memo, Versions]:
        user, partition, state, packed = self._look_up(request)
        if packed is None:
            raise _unknown(user)
        memo = read_memo(state)
        return user, unpack(packed), memo, self._in_use(partition, state, memo)

    def _in_use(self, partition: int, state: Restored, memo: Memo) -> Versions:
        # Remembered, because decoding templates and weights costs more than everything else in a lookup.
        known, under_way = self._versions.get(partition), tuple(map(state.records.get, (JOURNEYS_KEY, CAMPAIGNS_KEY)))
        if known is None or (known[0], known[1]) != (memo.numbers, under_way):
            known = self._versions[partition] = memo.numbers, under_way, versions_in_use(state, memo)
        return known[2]

    async def _user(self, request: web.Request) -> web.Response:
        user, customer, memo, versions = self._find(request)
        return _json(describe(user, customer, memo.now, versions))

    async def _why(self, request: web.Request) -> web.Response:
        user, customer, memo, versions = self._find(request)
        events = request.query.get("events")
        if events not in (None, "log"):
            raise HttpRefusal(400, "bad_choice", f"events: found {events!r}; allowed: log, or leave it out")
        try:
            answer = why(user, customer, memo.now, versions, request.match_info["segment"])
        except UnknownSegment as error:
            raise HttpRefusal(404, "unknown_segment", str(error)) from error
        partition, state = self._owned(user)
        answer |= {"partition": partition, "position": state.position}
        return _json(answer if events is None else await self._answer_with_events(answer))

    async def _answer_with_events(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Read the log, one search after the other, because each takes processor time from the fold."""
        if self.with_events is None:
            raise HttpRefusal(503, "no_log", "this worker does not read the log for lookups")
        async with self._searching:
            try:
                return await self.with_events(answer)
            except LogUnreadable as error:
                raise HttpRefusal(503, "log_unreadable", str(error)) from error

    async def _why_not(self, request: web.Request) -> web.Response:
        user, customer, memo, versions = self._find(request)
        try:
            return _json(why_not(user, customer, memo.now, versions, request.match_info["journey"]))
        except JourneyNotKnown as error:
            raise HttpRefusal(404, "unknown_journey", str(error)) from error

    async def _messages(self, request: web.Request) -> web.Response:
        user, customer, memo, _ = self._find(request)
        return _json(describe_messages(user, customer, memo.now))

    async def _choices(self, request: web.Request) -> web.Response:
        _, customer, _, versions = self._find(request)
        return _json(describe_choices(customer, versions))

    async def _state(self, request: web.Request) -> web.Response:
        user, _, state, packed = self._look_up(request)
        if packed is None:
            raise _unknown(user)
        headers = {CLOCK: str(read_memo(state).now)}
        return web.Response(body=packed, content_type="application/octet-stream", headers=headers)

    async def _recommendations(self, request: web.Request) -> web.Response:
        asked = request.query.get("k", DEFAULT)
        wanted = recommendations_wanted(asked)
        if wanted is None:
            raise HttpRefusal(400, "bad_number", f"k: found {asked!r}; allowed: {ALLOWED}")
        if self._recommends is None:
            raise HttpRefusal(503, "no_recommender", "this worker has no recommender")
        user, _, state, packed = self._look_up(request)
        recent = list(unpack(packed).facts.recent) if packed is not None else []
        answer = self._recommends.recommend(recent, read_memo(state).now, wanted, user)
        return _json({"user": user, "known": packed is not None, **answer})

    # --- health ----------------------------------------------------------------------------------------------------

    async def _health(self, request: web.Request) -> web.Response:  # noqa: ARG002 - aiohttp's signature
        standing = self._standing()
        return _json(standing, status=200 if standing["healthy"] else 503)

    async def _ready(self, request: web.Request) -> web.Response:  # noqa: ARG002 - aiohttp's signature
        standing = self._standing()
        return _json(standing, status=200 if standing["ready"] else 503)


def _unknown(user: str) -> HttpRefusal:
    return HttpRefusal(404, "unknown_user", f"there is no user {user!r}")


def _json(content: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(content), content_type="application/json", status=status)
