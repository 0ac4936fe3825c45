"""Requests of newer transactions have the same bytes as those of kafka-python, which Kafka's own schemas define."""

from __future__ import annotations

from io import BytesIO
from types import SimpleNamespace

import pytest
from kafka.protocol.admin import DescribeTransactionsRequest, DescribeTransactionsResponse
from kafka.protocol.metadata import ApiVersionsRequest, ApiVersionsResponse
from kafka.protocol.producer import EndTxnRequest, EndTxnResponse, ProduceRequest, ProduceResponse

from stream.cluster.transaction_protocol import (
    DescribeTransaction,
    EndTransaction,
    Features,
    ProduceInTransaction,
    transaction_version,
)

VERSIONS = {0: (0, 13), 18: (0, 4), 26: (0, 5), 65: (0, 0)}


def test_a_produce_request_names_each_partition_with_its_batch() -> None:
    topics = [("interactions", [(3, b"x" * 300), (4, b"y")]), ("profiles", [(3, b"z")])]
    request = ProduceInTransaction("perennial.fold-events-3", 10_000, topics).prepare(VERSIONS)
    theirs = ProduceRequest(
        version=12,
        transactional_id="perennial.fold-events-3",
        acks=-1,
        timeout_ms=10_000,
        topic_data=[
            ProduceRequest.TopicProduceData(
                name=topic,
                partition_data=[
                    ProduceRequest.TopicProduceData.PartitionProduceData(index=number, records=batch)
                    for number, batch in partitions
                ],
            )
            for topic, partitions in topics
        ],
    )

    assert request.encode() == bytes(theirs.encode(version=12))


def test_the_answer_to_a_produce_request_gives_the_error_code_of_each_partition() -> None:
    topic = ProduceResponse.TopicProduceResponse
    partition = topic.PartitionProduceResponse
    theirs = ProduceResponse(
        version=12,
        responses=[
            topic(
                name="profiles",
                partition_responses=[
                    partition(index=3, error_code=0, base_offset=7),
                    partition(
                        index=4,
                        error_code=10,
                        record_errors=[
                            partition.BatchIndexAndErrorMessage(batch_index=1, batch_index_error_message="no")
                        ],
                        error_message="refused",
                        current_leader=partition.LeaderIdAndEpoch(leader_id=2, leader_epoch=5),
                    ),
                ],
            )
        ],
        throttle_time_ms=0,
    )
    request = ProduceInTransaction("id", 10_000, []).prepare(VERSIONS)
    answer = request.RESPONSE_TYPE.decode(BytesIO(bytes(theirs.encode(version=12))))

    assert [(name, [found[:2] for found in partitions]) for name, partitions, _ in answer.topics] == [
        ("profiles", [(3, 0), (4, 10)])
    ]


@pytest.mark.parametrize("commit", [True, False])
def test_the_end_of_a_transaction_gives_the_producer_of_the_next_one(commit: bool) -> None:
    request = EndTransaction("id", 7, 3, commit=commit).prepare(VERSIONS)
    theirs = EndTxnRequest(version=5, transactional_id="id", producer_id=7, producer_epoch=3, committed=commit)
    answer = EndTxnResponse(version=5, throttle_time_ms=0, error_code=0, producer_id=7, producer_epoch=4)
    found = request.RESPONSE_TYPE.decode(BytesIO(bytes(answer.encode(version=5))))

    assert request.encode() == bytes(theirs.encode(version=5))
    assert (found.error_code, found.producer_id, found.producer_epoch) == (0, 7, 4)


def test_the_coordinator_gives_the_state_of_a_transaction() -> None:
    request = DescribeTransaction("id").prepare(VERSIONS)
    state = DescribeTransactionsResponse.TransactionState
    answer = DescribeTransactionsResponse(
        version=0,
        throttle_time_ms=0,
        transaction_states=[
            state(
                error_code=0,
                transactional_id="id",
                transaction_state="PrepareCommit",
                transaction_timeout_ms=1,
                transaction_start_time_ms=2,
                producer_id=7,
                producer_epoch=3,
                topics=[state.TopicData(topic="profiles", partitions=[0, 1])],
            )
        ],
    )
    found = request.RESPONSE_TYPE.decode(BytesIO(bytes(answer.encode(version=0))))

    assert request.encode() == bytes(DescribeTransactionsRequest(transactional_ids=["id"]).encode(version=0))
    assert found.states == [(0, "id", "PrepareCommit", 1, 2, 7, 3, [("profiles", [0, 1], {})], {})]


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_cluster_says_which_transactions_it_uses(level: int) -> None:
    request = Features().prepare(VERSIONS)
    theirs = ApiVersionsRequest(version=3, client_software_name="perennial", client_software_version="1")
    feature = ApiVersionsResponse.FinalizedFeatureKey
    features = [feature(name="group.version", max_version_level=1, min_version_level=1)]
    if level:
        features.append(feature(name="transaction.version", max_version_level=level, min_version_level=level))
    answer = ApiVersionsResponse(
        version=3,
        error_code=0,
        api_keys=[ApiVersionsResponse.ApiVersion(api_key=0, min_version=0, max_version=13)],
        throttle_time_ms=0,
        finalized_features_epoch=9,
        finalized_features=features,
    )
    header = request.build_request_header(5, "client").encode()

    assert request.encode() == bytes(theirs.encode(version=3))
    assert header == b"\x00\x12\x00\x03\x00\x00\x00\x05\x00\x06client\x00"
    assert request.parse_response_header(BytesIO(b"\x00\x00\x00\x05")).correlation_id == 5
    assert transaction_version(request.RESPONSE_TYPE.decode(BytesIO(bytes(answer.encode(version=3))))) == level


def test_a_broker_of_before_2019_names_no_features() -> None:
    request = Features().prepare({18: (0, 2)})

    assert (request.API_VERSION, request.encode()) == (0, b"")
    assert transaction_version(SimpleNamespace(error_code=0, api_versions=[])) == 0
