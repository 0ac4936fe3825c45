"""A model of Kafka's brokers for one transactional id, which stands in for aiokafka's client.

It stores batches as a broker does: only the next sequence number of the newest producer, and a repeated batch once. A
script says what happens to each request, so a test can lose any answer and move any leader.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import (
    DuplicateSequenceNumber,
    InvalidTxnState,
    KafkaConnectionError,
    OutOfOrderSequenceNumber,
)
from aiokafka.record.memory_records import MemoryRecords

FENCED = 90
VERSIONS = {0: (0, 13), 18: (0, 4), 22: (0, 6), 24: (0, 5), 26: (0, 5), 65: (0, 0)}
LOST = "lost"
"""Step of a script: the request does not arrive."""
ANSWER_LOST = "answer lost"
"""Step of a script: the request is processed, and its answer does not arrive."""
KINDS = {0: "produce", 18: "features", 22: "take over", 24: "add", 26: "end", 65: "describe"}


class ModelBrokers:
    """All brokers of a cluster, as one client sees them.

    Parameters
    ----------
    version
        The cluster's ``transaction.version``.
    script
        For each kind of request what happens to the requests of this kind, one after the other: an error code,
        :data:`LOST` or :data:`ANSWER_LOST`. Afterwards, all of them succeed.
    leaders
        Node of each partition that has another leader than node 1.

    Attributes
    ----------
    stored
        Values that each partition has stored, in their order; those of aborted transactions are gone.
    requests
        Kind and node of each request.
    sent
        Produce requests: for each the partitions with the producer's epoch and the first sequence number.
    epoch
        Newest epoch of the producer.
    ending
        How many questions for the state are answered with a transaction that has not ended yet.
    ended
        ``True`` for each committed transaction, and ``False`` for each aborted one.
    """

    def __init__(
        self,
        version: int = 2,
        script: Mapping[str, Iterable[int | str]] | None = None,
        leaders: Mapping[TopicPartition, int] | None = None,
    ) -> None:
        self.stored: defaultdict[TopicPartition, list[bytes]] = defaultdict(list)
        self.requests: list[tuple[str, int]] = []
        self.sent: list[dict[TopicPartition, tuple[int, int]]] = []
        self.epoch = 0
        self.ending = 0
        self.ended: list[bool] = []
        self.looked_up = 0
        self.refreshed = 0
        self.closed = False
        self._version = version
        self._script = {kind: deque(steps) for kind, steps in (script or {}).items()}
        self._leaders = dict(leaders or {})
        self._open: Counter[TopicPartition] = Counter()
        self._added: set[TopicPartition] = set()
        self._is_open = False
        self._ended_last: tuple[int, bool] | None = None
        self._last: dict[TopicPartition, tuple[int, int]] = {}
        self._next: defaultdict[TopicPartition, int] = defaultdict(int)
        self.cluster = SimpleNamespace(
            leader_for_partition=lambda place: self._leaders.get(place, 1),
            partitions_for_topic=lambda topic: {0, 1},
            unauthorized_topics=set(),
        )

    async def bootstrap(self) -> None:
        """Connect."""

    async def close(self) -> None:
        """Close the connection."""
        self.closed = True

    async def add_topic(self, topic: str) -> bool:
        """Ask for a topic."""
        return bool(topic)

    async def force_metadata_update(self) -> bool:
        """Ask for the leaders; those without a leader are elected."""
        self.refreshed += 1
        self._leaders = {place: abs(leader) for place, leader in self._leaders.items()}
        return True

    async def coordinator_lookup(self, kind: int, key: str) -> int:
        """Return the coordinator, which moves with every question."""
        assert (kind, key) == (1, "id")
        self.looked_up += 1
        return 10 + self.looked_up

    async def send(self, node: int, request: Any) -> Any:
        """Process a request as the script says."""
        prepared = request.prepare(VERSIONS)
        kind = KINDS[prepared.API_KEY]
        self.requests.append((kind, node))
        steps = self._script.get(kind)
        step = steps.popleft() if steps else 0
        if step == LOST:
            raise KafkaConnectionError(LOST)
        answer = getattr(self, f"_{kind.replace(' ', '_')}")(prepared, step if isinstance(step, int) else 0)
        if step == ANSWER_LOST:
            raise KafkaConnectionError(ANSWER_LOST)
        return answer

    def take_over_again(self) -> None:
        """Let another owner take the transactional id over, which aborts the open transaction."""
        self._finish(commit=False)
        self.epoch += 1
        self._ended_last = None

    def _take_over(self, prepared: Any, code: int) -> Any:
        assert prepared.transaction_timeout_ms > 0
        if not code:
            self.take_over_again()
        return SimpleNamespace(error_code=code, producer_id=7, producer_epoch=self.epoch)

    def _features(self, prepared: Any, code: int) -> Any:
        assert prepared.API_VERSION == 3
        feature = b"\x02\x14transaction.version" + bytes([0, self._version, 0, 0, 0])
        return SimpleNamespace(error_code=code, tags={2: feature})

    def _describe(self, prepared: Any, code: int) -> Any:
        assert prepared.transactional_ids == ["id"]
        self.ending -= 1
        return SimpleNamespace(states=[(code, "id", "CompleteCommit" if self.ending < 0 else "PrepareCommit", 0)])

    def _add(self, prepared: Any, code: int) -> Any:
        code = code or (0 if prepared.producer_epoch == self.epoch else FENCED)
        if not code:
            self._is_open = True
            self._added |= {TopicPartition(topic, number) for topic, numbers in prepared.topics for number in numbers}
        errors = [(topic, [(number, code) for number in numbers]) for topic, numbers in prepared.topics]
        return SimpleNamespace(errors=errors)

    def _produce(self, prepared: Any, code: int) -> Any:
        self.sent.append({})
        answers: dict[str, list[tuple[int, int]]] = {}
        for topic, partitions, *_ in prepared.topics:
            for number, batch, *_ in partitions:
                found = code or self._store(TopicPartition(topic, number), batch)
                answers.setdefault(topic, []).append((number, found))
        return SimpleNamespace(topics=list(answers.items()))

    def _store(self, place: TopicPartition, content: bytes) -> int:
        batch = MemoryRecords(bytes(content)).next_batch()
        values = [record.value for record in batch]
        first, epoch = batch.base_sequence, batch.producer_epoch
        self.sent[-1][place] = epoch, first
        if epoch != self.epoch:
            return FENCED
        if self._version < 2 and place not in self._added:
            return int(InvalidTxnState.errno)
        self._is_open = True
        last_epoch, last_first = self._last.get(place, (epoch, -1))
        if last_epoch != epoch:
            last_first, self._next[place] = -1, 0
        if first == last_first:
            return int(DuplicateSequenceNumber.errno) if first % 2 else 0
        if first != self._next[place]:
            return int(OutOfOrderSequenceNumber.errno)
        self._last[place] = epoch, first
        self._next[place] = (first + len(values)) % 2**31
        self.stored[place] += values
        self._open[place] += len(values)
        return 0

    def _end(self, prepared: Any, code: int) -> Any:
        commit = bool(prepared.committed if self._version >= 2 else prepared.transaction_result)
        asked = prepared.producer_epoch, commit
        if code or (asked == self._ended_last and not self._is_open):
            return SimpleNamespace(error_code=code, producer_id=7, producer_epoch=self.epoch)
        if prepared.producer_epoch != self.epoch:
            code = FENCED
        elif not self._is_open and (commit or self._version < 2):
            code = int(InvalidTxnState.errno)
        else:
            self._finish(commit=commit)
            self._ended_last = asked
            self.epoch += self._version >= 2
        return SimpleNamespace(error_code=code, producer_id=7, producer_epoch=self.epoch)

    def _finish(self, *, commit: bool) -> None:
        if not commit:
            for place, count in self._open.items():
                del self.stored[place][-count:]
        if self._is_open:
            self.ended.append(commit)
        self._is_open = False
        self._ended_last = None
        self._open.clear()
        self._added.clear()
