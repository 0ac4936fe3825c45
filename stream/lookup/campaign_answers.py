"""Answers of a worker about campaigns in its partitions.

::

    GET /v1/campaigns   campaigns that were started and their users, for each partition that this worker has
"""

from __future__ import annotations

from aiohttp import web

from models.fold.campaign_view import campaigns_of
from stream.lookup.open_partitions import OpenPartitions, answer


class CampaignAnswers:
    """The answers about campaigns.

    Parameters
    ----------
    partitions
        Function that yields the partitions that this worker has.
    """

    def __init__(self, partitions: OpenPartitions) -> None:
        self._partitions = partitions

    def __repr__(self) -> str:
        return f"CampaignAnswers({self._partitions!r})"

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the paths."""
        router.add_get("/v1/campaigns", self._campaigns)

    async def _campaigns(self, request: web.Request) -> web.Response:  # noqa: ARG002 - aiohttp's signature
        return answer([campaigns_of(one.state, one.versions, one.now) for one in self._partitions()])
