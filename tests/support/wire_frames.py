"""Requests and answers of Kafka's protocol as kafka-python writes them, for tests of the relay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kafka.protocol.consumer.fetch import FetchRequest, FetchResponse
from kafka.protocol.producer.produce import ProduceRequest, ProduceResponse

from stream.installation.kafka_frames import FLEXIBLE_FETCH, FLEXIBLE_PRODUCE, Place

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
    version: int,
    *,
    places: Iterable[Place] = (Place(b"events", 0), Place(b"events", 1)),
    records: bytes | None = None,
    error: int = 0,
    end: int = 9,
    correlation: int = 77,
) -> bytes:
    """Return the answer to a fetch; records or the error are in the partitions with a number above zero."""
    topic = FetchResponse.FetchableTopicResponse
    partition = topic.PartitionData
    response = FetchResponse(
        throttle_time_ms=0,
        error_code=0,
        session_id=0,
        responses=[
            topic(
                topic=place.topic.decode(),
                partitions=[
                    partition(
                        partition_index=place.partition,
                        error_code=error if place.partition else 0,
                        high_watermark=end,
                        last_stable_offset=end,
                        log_start_offset=0,
                        aborted_transactions=[partition.AbortedTransaction(producer_id=1, first_offset=3)],
                        preferred_read_replica=-1,
                        records=records if place.partition else None,
                    )
                ],
            )
            for place in places
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


def produced_frame(version: int, first: int, error: int = 0, correlation: int = 77) -> bytes:
    """Return the answer to a request that has written to :data:`PLACES`; partition 7 has the error."""
    topic = ProduceResponse.TopicProduceResponse
    partition = topic.PartitionProduceResponse
    response = ProduceResponse(
        responses=[
            topic(
                name=place.topic.decode(),
                partition_responses=[
                    partition(
                        index=place.partition,
                        error_code=error if place.partition == 7 else 0,
                        base_offset=first,
                        log_append_time_ms=-1,
                        log_start_offset=0,
                        record_errors=[
                            partition.BatchIndexAndErrorMessage(batch_index=3, batch_index_error_message="damaged")
                        ],
                        error_message="some words",
                    )
                ],
            )
            for place in sorted(PLACES)
        ],
        throttle_time_ms=0,
    )
    head = correlation.to_bytes(4) + (b"\0" if version >= FLEXIBLE_PRODUCE else b"")
    return head + bytes(response.encode(version=version))
