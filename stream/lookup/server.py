"""What a worker answers about the users whom it owns, and about its own health.

===================================  ==============================================================================
``GET /v1/users/USER``               everything about a user (``models/fold/view.py``)
``GET /v1/users/USER/state``         the packed state, for tools that work on it (``X-Now``: the partition's clock)
``GET /v1/users/USER/recommendations?k=10``  items for a user, newest clicks counted
``GET /health``, ``GET /ready``      progress: each lane's position, lag, seconds since its last commit, failures
===================================  ==============================================================================

404: nobody of that name; 421: another worker owns that partition; 503: the partition is being restored. Each answer
names the installation of this worker (``stream/lookup/identity.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from models.batch import Restored
from models.fold.memo import Memo, read_memo, versions_in_use
from models.fold.versions import Versions
from models.fold.view import describe
from models.profile.state import Customer, Touch, unpack
from stream.cluster.partitioner import partition_of
from stream.lookup.identity import HEADER
from stream.lookup.wanted import ALLOWED, DEFAULT, recommendations_wanted


class Recommends(Protocol):
    """Whoever recommends items."""

    def recommend(self, recent: Sequence[Touch], now: int, k: int, user: str = "") -> Mapping[str, Any]:
        """Answer ``{"version": ..., "items": [...]}`` for a user's newest touches; none of a stranger."""


class _Refusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except _Refusal as refusal:
        return _json({"error": str(refusal)}, status=refusal.status)


class LookupServer:
    """Serves the lookups of one worker.

    Parameters
    ----------
    restored
        The committed state of a partition; ``None`` while this worker has none (yet).
    owns
        Whether a partition was assigned to this worker.
    standing
        Whether this worker is ready and healthy, and how its lanes stand (``stream/worker/health.py``).
    partitions
        Of ``events``.
    recommends
        ``None`` until a recommender is there.
    identity
        Of the installation.
    """

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
        self._versions: dict[int, tuple[dict[str, int], Versions]] = {}
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which is chosen by the system where 0 was asked for."""
        app = web.Application(middlewares=[_refusals])
        app.on_response_prepare.append(self._name_installation)
        user = "/v1/users/{user:[^/]+}"  # aiohttp's own pattern takes no braces
        app.router.add_get(user, self._user)
        app.router.add_get(f"{user}/state", self._state)
        app.router.add_get(f"{user}/recommendations", self._recommendations)
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
        """User, their partition, its state, and what is packed there of them."""
        user = request.match_info["user"]
        if user.startswith("\x00"):  # the lane's own records stand beside the users
            raise _Refusal(404, f"there is no user {user!r}")
        partition, state = self._owned(user)
        return user, partition, state, state.records.get(user.encode())

    def _owned(self, user: str) -> tuple[int, Restored]:
        partition = partition_of(user.encode(), self._partitions)
        if not self._owns(partition):
            raise _Refusal(421, f"partition {partition} belongs to another worker")
        state = self._restored(partition)
        if state is None:
            raise _Refusal(503, f"partition {partition} is being restored; try again in a moment")
        return partition, state

    def _find(self, request: web.Request) -> tuple[str, Customer, Memo, Versions]:
        user, partition, state, packed = self._look_up(request)
        if packed is None:
            raise _Refusal(404, f"there is no user {user!r}")
        memo = read_memo(state)
        return user, unpack(packed), memo, self._in_use(partition, state, memo)

    def _in_use(self, partition: int, state: Restored, memo: Memo) -> Versions:
        # decoding templates and weights costs more than all the rest of a lookup
        known = self._versions.get(partition)
        if known is None or known[0] != memo.numbers:
            known = self._versions[partition] = memo.numbers, versions_in_use(state, memo)
        return known[1]

    async def _user(self, request: web.Request) -> web.Response:
        user, customer, memo, versions = self._find(request)
        return _json(describe(user, customer, memo.now, versions))

    async def _state(self, request: web.Request) -> web.Response:
        user, _, state, packed = self._look_up(request)
        if packed is None:
            raise _Refusal(404, f"there is no user {user!r}")
        headers = {"X-Now": str(read_memo(state).now)}
        return web.Response(body=packed, content_type="application/octet-stream", headers=headers)

    async def _recommendations(self, request: web.Request) -> web.Response:
        asked = request.query.get("k", DEFAULT)
        wanted = recommendations_wanted(asked)
        if wanted is None:
            raise _Refusal(400, f"k: found {asked!r}; allowed: {ALLOWED}")
        if self._recommends is None:
            raise _Refusal(503, "this worker has no recommender")
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


def _json(content: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(content), content_type="application/json", status=status)
