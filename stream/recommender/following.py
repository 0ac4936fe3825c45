"""Follower of ``versions`` and ``items`` in a worker, so that it has the newest recommender and the catalogue."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from models.batch import Record
from models.errors import PerennialError
from models.recommend.catalogue import Catalogue
from models.recommend.new_items import seed_of, with_new
from models.recommend.recommender import OFFERED, POPULAR, RecentInteraction, Recommender
from monitoring import metrics
from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerUnavailable, name_of
from stream.cluster.patient_fetches import IDLE_WAIT_MS
from stream.cluster.topic_reader import ReadOptions, TopicReader, partitions_of
from stream.recommender.artifacts import NAME, ArtifactFolder, Published, decode_published

logger = logging.getLogger(__name__)

__all__ = ["ModelWatch"]

VERSIONS: Final = "versions"
ITEMS: Final = "items"
RETRY_S: Final = 5.0
"""How long to wait before a file that could not be read, or a broker that failed, is tried again, seconds."""
MAX_RETRY_S: Final = 60.0
"""Maximum time to wait after repeated failures, seconds."""


class ModelWatch:
    """Holder of the newest recommender. It takes a newer one without a pause, but never a damaged one.

    Parameters
    ----------
    connection
        The cluster with the two topics.
    folder
        Folder of the published models.

    Attributes
    ----------
    catalogue
        Items that are for sale.
    published
        The version in use; ``None`` before the first.
    refused
        A newer version that could not be loaded, and is tried again.
    """

    def __init__(self, connection: Connection, folder: ArtifactFolder) -> None:
        self._connection = connection
        self._folder = folder
        self._recommender: Recommender | None = None
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self.catalogue = Catalogue()
        self.published: Published | None = None
        self.refused: Published | None = None

    def __repr__(self) -> str:
        return f"ModelWatch(version {self.version}, {len(self.catalogue.ids())} items)"

    @property
    def version(self) -> int:
        """The version in use; 0 before the first."""
        return 0 if self.published is None else self.published.version

    def recommend(self, recent: Sequence[RecentInteraction], now: int, k: int, user: str = "") -> dict[str, Any]:
        """Recommend ``k`` items to a user.

        Parameters
        ----------
        recent
            The user's newest interactions. A user without any gets popular items.
        now
            Current time, milliseconds.
        k
            Number of items, at least 1.
        user
            Id of the user; it decides which new items are shown.

        Returns
        -------
        dict
            ``version`` (0: no model is in use), ``trained_until`` (milliseconds) and ``items``. Each item has ``item``,
            ``score`` and ``why``, and ``title`` and ``price`` (micros) if the catalogue contains them. Without a model,
            ``refused`` is the version that could not be loaded, if there is one. Without items, ``empty`` is the
            reason: ``nothing_for_sale``, ``all_touched`` or ``all_known_touched``. In the last two cases, the user has
            recent interactions with all items for sale, or with all items that the model knows.
        """
        recommender, published = self._recommender, self.published
        if recommender is None or published is None:
            metrics.increment("recommendations", "none")
            refused = {} if self.refused is None else {"refused": self.refused.version}
            return {"version": 0, "trained_until": None, "items": [], **refused}
        began = time.perf_counter()
        known = recommender.recommend(recent, now=now, k=k, catalogue=self.catalogue)
        touched, seed = {touch.item for touch in recent}, seed_of(user, published.version, now)
        found = with_new(known, recommender.unknown(self.catalogue), touched, k, seed)
        metrics.observe("recommend_seconds", time.perf_counter() - began)
        by_taste = any(each.why not in (POPULAR, OFFERED) for each in known)
        metrics.increment("recommendations", "model" if by_taste else "popularity")
        return {
            "version": published.version,
            "trained_until": published.trained_until,
            "items": [
                {"item": each.item, "score": each.score, "why": each.why, **self._details(each.item)} for each in found
            ],
            **({} if found else {"empty": self._empty()}),
        }

    def _empty(self) -> str:
        """Return the reason why there is nothing to recommend."""
        if not self.catalogue.imported:
            return "all_known_touched"
        return "all_touched" if any(map(self.catalogue.sells, self.catalogue.ids())) else "nothing_for_sale"

    def _details(self, item_id: str) -> dict[str, Any]:
        item = self.catalogue.get(item_id)
        if item is None:
            return {}
        details = {"title": item.title or None, "price": item.price}
        return {name: value for name, value in details.items() if value is not None}

    async def start(self) -> None:
        """Start a task that follows the topics."""
        self._task = asyncio.create_task(self._follow(), name="model-watch")

    async def stop(self) -> None:
        """Stop the task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def until(self, condition: Callable[[ModelWatch], bool]) -> None:
        """Wait until a condition on this watch holds."""
        async with self._changed:
            await self._changed.wait_for(lambda: condition(self))

    async def _follow(self) -> None:
        wait = RETRY_S
        while True:
            began = time.monotonic()
            try:
                await self._consume()
            except Exception as error:  # any failure: outdated recommendations must be visible in the log
                metrics.increment("model_watch_failures", name_of(error))
                if time.monotonic() - began > MAX_RETRY_S:
                    wait = RETRY_S
                # A broker that does not answer needs no traceback.
                expected = isinstance(error, BrokerUnavailable)
                logger.warning(
                    "recommender: following %s and %s failed, trying again in %g s: %r",
                    *(VERSIONS, ITEMS, wait, error),
                    exc_info=None if expected else error,
                )
                await asyncio.sleep(wait)
                wait = min(2 * wait, MAX_RETRY_S)

    async def _consume(self) -> None:
        (versions,), (items,) = (partitions_of(self._connection, name, 1) for name in (VERSIONS, ITEMS))
        async with TopicReader(self._connection, [versions, items], ReadOptions(idle_wait_ms=IDLE_WAIT_MS)) as reader:
            while True:
                batches = await reader.poll(timeout_ms=int(RETRY_S * 1000))
                await self._apply_items(batches.get(items, ()))
                newest = self._newest(batches.get(versions, ()))
                await self._take(newest or self.refused)

    async def _apply_items(self, records: Sequence[Record]) -> None:
        if not records:
            return
        # In a thread, and on a copy, because a catalogue may be large, and this event loop also serves the fold.
        catalogue, recommender = await asyncio.to_thread(self._with_items, records)
        if catalogue.revision == self.catalogue.revision:
            return
        async with self._changed:
            self.catalogue, self._recommender = catalogue, recommender
            self._changed.notify_all()

    def _with_items(self, records: Iterable[Record]) -> tuple[Catalogue, Recommender | None]:
        catalogue = self.catalogue.copy()
        for record in records:
            try:
                catalogue.apply(record.key or b"", record.value)
            except (msgspec.DecodeError, PerennialError, UnicodeDecodeError) as error:
                logger.warning("catalogue: record %s of %s is skipped: %s", record.offset, ITEMS, error)
        return catalogue, None if self._recommender is None else self._recommender.prepared(catalogue)

    def _newest(self, records: Iterable[Record]) -> Published | None:
        newest: Published | None = None
        for record in records:
            if record.key != NAME.encode() or record.value is None:
                continue
            try:
                published = decode_published(record.value)
            except msgspec.DecodeError as error:
                logger.warning("recommender: record %s of %s is skipped: %s", record.offset, VERSIONS, error)
                continue
            if published.version > max(self.version, 0 if newest is None else newest.version):
                newest = published
        return newest

    async def _take(self, published: Published | None) -> None:
        """Use a version. One that is refused is tried again, because its file may arrive later."""
        if published is None:
            return
        recommender = await self._try(published)
        if recommender is not None:
            await self._swap(published, recommender, refused=None)
            return
        previous = published.previous
        if self._recommender is None and previous is not None:
            recommender = await self._try(previous)
            if recommender is not None:
                await self._swap(previous, recommender, refused=published)
                return
        async with self._changed:
            self.refused = published
            self._changed.notify_all()

    async def _try(self, published: Published) -> Recommender | None:
        try:
            return await asyncio.to_thread(self._load, published)
        except Exception as error:  # one version that cannot be loaded must not block the next ones
            if self.refused != published:
                logger.warning(
                    "recommender: version %s is refused, %s stays: %r",
                    *(published.version, self.version, error),
                    exc_info=None if isinstance(error, PerennialError) else error,
                )
                metrics.increment("artifacts_refused")
            return None

    async def _swap(self, published: Published, recommender: Recommender, *, refused: Published | None) -> None:
        async with self._changed:
            self._recommender, self.published, self.refused = recommender, published, refused
            self._changed.notify_all()
        metrics.gauge("version_in_use", published.version, NAME)
        logger.info("recommender: version %s is in use, %s items", published.version, len(recommender.model.items))

    def _load(self, published: Published) -> Recommender:
        return Recommender(self._folder.read(published), published.version).prepared(self.catalogue)
