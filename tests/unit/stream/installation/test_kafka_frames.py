"""The relay reads requests and answers of every version as kafka-python writes them."""

from __future__ import annotations

from typing import Any

import pytest

from stream.installation.kafka_frames import (
    MAX_FETCH_VERSION,
    MAX_PRODUCE_VERSION,
    FetchAnswer,
    Place,
    RequestHead,
    read_answer,
    read_fetch,
    read_head,
    read_produce,
    read_produced,
)
from tests.support.wire_frames import PLACES, answer_frame, fetch_frame, produce_frame, produced_frame

FETCH_VERSIONS = range(4, MAX_FETCH_VERSION + 1)


@pytest.mark.parametrize("client", ["a client", None])
@pytest.mark.parametrize("version", FETCH_VERSIONS)
def test_a_fetch_is_read_with_its_wait_and_its_partitions(version: int, client: str | None) -> None:
    frame = fetch_frame(version, client=client)
    fetch = read_fetch(frame, version)

    assert read_head(frame) == RequestHead(1, version, 77)
    assert fetch is not None
    assert (fetch.wait_ms, fetch.offsets) == (1_234, {place: 200 + place.partition for place in PLACES})
    assert int.from_bytes(frame[fetch.wait_at : fetch.wait_at + 4]) == 1_234


def test_fetches_of_other_versions_are_left_alone() -> None:
    assert read_fetch(fetch_frame(3), 3) is None
    assert read_fetch(fetch_frame(13), 13) is None


@pytest.mark.parametrize("version", FETCH_VERSIONS)
def test_an_answer_without_records_differs_from_one_with_records_or_an_error(version: int) -> None:
    def read(**content: Any) -> FetchAnswer:
        return read_answer(answer_frame(version, **content), version)

    ends = {Place(b"events", 0): 9, Place(b"events", 1): 9}
    assert read() == read(records=b"") == FetchAnswer("nothing", ends)
    assert read(records=b"x" * 300, end=30) == FetchAnswer("records", dict.fromkeys(ends, 30))
    assert read(error=3) == FetchAnswer("error", {})


@pytest.mark.parametrize("version", range(3, MAX_PRODUCE_VERSION + 1))
@pytest.mark.parametrize("acks", [0, 1, -1])
def test_a_produce_request_is_read_with_its_partitions(version: int, acks: int) -> None:
    produce = read_produce(produce_frame(version, acks), version)

    assert produce is not None
    assert (produce.is_answered, produce.places) == (acks != 0, PLACES)


def test_a_produce_request_that_names_topics_by_id_is_left_alone() -> None:
    assert read_produce(b"", MAX_PRODUCE_VERSION + 1) is None


@pytest.mark.parametrize("version", range(3, MAX_PRODUCE_VERSION + 1))
def test_the_answer_to_a_produce_request_is_read_with_the_first_offset_of_each_partition(version: int) -> None:
    assert read_produced(produced_frame(version, first=40), version) == dict.fromkeys(PLACES, 40)
    refused = read_produced(produced_frame(version, first=40, error=3), version)
    assert refused == dict.fromkeys(PLACES - {Place(b"events", 7)}, 40)
