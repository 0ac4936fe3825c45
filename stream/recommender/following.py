"""Follows ``versions`` and ``items`` inside a worker: the newest recommender and the catalogue, always at hand."""

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
from stream.cluster.errors import BrokerUnavailable
from stream.cluster.topic_reader import TopicReader, partitions_of
from stream.recommender.artifacts import NAME, ArtifactFolder, Published, decode_published

log = logging.getLogger(__name__)

VERSIONS: Final = "versions"
ITEMS: Final = "items"
RETRY_S: Final = 5.0
"""A version whose file could not be read, or a broker that failed, is tried again after so many seconds."""
LONGEST_S: Final = 60.0
"""What fails again and again is tried again after up to so many."""


class ModelWatch:
    """Swaps each newly published recommender in without a pause; one that is damaged never replaces one that works.

    Parameters
    ----------
    connection
        To the cluster with the two topics.
    folder
        Where published models stand.

    Attributes
    ----------
    catalogue
        What is for sale.
    published
        The version in use; ``None`` before the first.
    refused
        A newer version that could not be taken over, and is tried again.
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

    @property
    def version(self) -> int:
        """The version in use; 0 before the first."""
        return 0 if self.published is None else self.published.version

    def recommend(self, recent: Sequence[RecentInteraction], now: int, k: int, user: str = "") -> dict[str, Any]:
        """Recommend ``k`` items to a user.

        Parameters
        ----------
        recent
            The user's newest touches; none of a stranger, who gets what is popular.
        now
            Milliseconds.
        k
            At least 1.
        user
            Whose touches these are: which new items are shown follows from it.

        Returns
        -------
        dict
            ``version`` (0: no model is in use), ``trained_until`` (milliseconds) and ``items``: each with ``item``,
            ``score``, ``why``, and from the catalogue ``title`` and ``price`` (micros) where it has them. Without a
            model, ``refused`` is the version that could not be loaded, if there is one. Without items, ``empty`` says
            why: ``nothing_for_sale``, ``all_touched`` (what is for sale), ``all_known_touched`` (what the model knows).
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
        """Say why there is nothing to recommend."""
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
        """Follow from now on, in a task of its own."""
        self._task = asyncio.create_task(self._follow(), name="model-watch")

    async def stop(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def until(self, condition: Callable[[ModelWatch], bool]) -> None:
        """Return when a condition on this watch holds."""
        async with self._changed:
            await self._changed.wait_for(lambda: condition(self))

    async def _follow(self) -> None:
        wait = RETRY_S
        while True:
            began = time.monotonic()
            try:
                await self._consume()
            except Exception as error:  # whatever it is: recommendations must not grow old in silence
                metrics.increment("model_watch_failures", type(error).__name__)
                if time.monotonic() - began > LONGEST_S:
                    wait = RETRY_S
                # a broker that is away needs no traceback
                expected = isinstance(error, BrokerUnavailable)
                log.warning(
                    "recommender: following %s and %s failed, trying again in %g s: %r",
                    *(VERSIONS, ITEMS, wait, error),
                    exc_info=None if expected else error,
                )
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_S)

    async def _consume(self) -> None:
        (versions,), (items,) = (partitions_of(self._connection, name, 1) for name in (VERSIONS, ITEMS))
        async with TopicReader(self._connection, [versions, items]) as reader:
            while True:
                batches = await reader.poll(timeout_ms=int(RETRY_S * 1000))
                await self._apply_items(batches.get(items, ()))
                newest = self._newest(batches.get(versions, ()))
                await self._take(newest or self.refused)

    async def _apply_items(self, records: Sequence[Record]) -> None:
        if not records:
            return
        # In a thread, and beside what answers meanwhile: this loop also folds, and a catalogue may be large.
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
                log.warning("catalogue: record %s of %s is passed over: %s", record.offset, ITEMS, error)
        return catalogue, None if self._recommender is None else self._recommender.prepared(catalogue)

    def _newest(self, records: Iterable[Record]) -> Published | None:
        newest: Published | None = None
        for record in records:
            if record.key != NAME.encode() or record.value is None:
                continue
            try:
                published = decode_published(record.value)
            except msgspec.DecodeError as error:
                log.warning("recommender: record %s of %s is passed over: %s", record.offset, VERSIONS, error)
                continue
            if published.version > max(self.version, 0 if newest is None else newest.version):
                newest = published
        return newest

    async def _take(self, published: Published | None) -> None:
        """Swap a version in; one that is refused is tried again, for its file may still be on its way."""
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
        except Exception as error:  # one version that cannot be loaded must not hold up what comes next
            if self.refused != published:
                log.warning(
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
        log.info("recommender: version %s is in use, %s items", published.version, len(recommender.model.items))

    def _load(self, published: Published) -> Recommender:
        return Recommender(self._folder.read(published), published.version).prepared(self.catalogue)
