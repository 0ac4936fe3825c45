"""Requests and answers of Kafka's protocol as kafka-python writes them, for tests of the relay."""

from __future__ import annotations

from typing import Any

from kafka.protocol.consumer.fetch import FetchRequest, FetchResponse
from kafka.protocol.producer.produce import ProduceRequest

from stream.installation.kafka_frames import FLEXIBLE_FETCH, Place

PLACES = frozenset({Place(b"events", 0), Place(b"events", 7), Place(b"messages.email", 2)})
"""Partitions of all requests here."""


def frame_of(request: Any, version: int, client: str | None = "a client", correlation: int = 77) -> bytes:
    """Return a request as kafka-python writes it, without its length."""
    request.with_header(correlation_id=correlation, client_id=client)
    return bytes(request.encode(version=version, header=True))


def fetch_frame(version: int, wait_ms: int = 1_234, client: str | None = "a client", correlation: int = 77) -> bytes:
    """Return a fetch of :data:`PLACES`."""
    topic, partition = FetchRequest.FetchTopic, FetchRequest.FetchTopic.FetchPartition
    request = FetchRequest(
        replica_id=-1,
        max_wait_ms=wait_ms,
        min_bytes=1,
        max_bytes=1 << 20,
        isolation_level=1,
        session_id=0,
        session_epoch=-1,
        topics=[
            topic(
                topic=name,
                partitions=[
                    partition(
                        partition=number,
                        current_leader_epoch=3,
                        fetch_offset=200 + number,
                        last_fetched_epoch=-1,
                        log_start_offset=-1,
                        partition_max_bytes=1 << 20,
                    )
                    for number in numbers
                ],
            )
            for name, numbers in (("events", (0, 7)), ("messages.email", (2,)))
        ],
        forgotten_topics_data=[],
        rack_id="",
    )
    return frame_of(request, version, client, correlation)


def answer_frame(
    version: int, *, records: bytes | None = None, error: int = 0, aborted: int = 0, end: int = 9, correlation: int = 77
) -> bytes:
    """Return the answer to a fetch of two partitions; records or the error are in the second one."""
    topic = FetchResponse.FetchableTopicResponse
    partition = topic.PartitionData
    response = FetchResponse(
        throttle_time_ms=0,
        error_code=0,
        session_id=0,
        responses=[
            topic(
                topic="events",
                partitions=[
                    partition(
                        partition_index=number,
                        error_code=error if number else 0,
                        high_watermark=end,
                        last_stable_offset=end,
                        log_start_offset=0,
                        aborted_transactions=[
                            partition.AbortedTransaction(producer_id=each, first_offset=3) for each in range(aborted)
                        ],
                        preferred_read_replica=-1,
                        records=records if number else None,
                    )
                    for number in (0, 1)
                ],
            )
        ],
    )
    head = correlation.to_bytes(4) + (b"\0" if version >= FLEXIBLE_FETCH else b"")
    return head + bytes(response.encode(version=version))


def produce_frame(version: int, acks: int, correlation: int = 77) -> bytes:
    """Return a request that writes to :data:`PLACES`."""
    topic, partition = ProduceRequest.TopicProduceData, ProduceRequest.TopicProduceData.PartitionProduceData
    request = ProduceRequest(
        transactional_id="t" if version % 2 else None,
        acks=acks,
        timeout_ms=5_000,
        topic_data=[
            topic(name="events", partition_data=[partition(index=number, records=b"r" * 200) for number in (0, 7)]),
            topic(name="messages.email", partition_data=[partition(index=2, records=None)]),
        ],
    )
    return frame_of(request, version, correlation=correlation)
