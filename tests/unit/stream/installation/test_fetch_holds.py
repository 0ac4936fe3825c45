"""A fetch that finds nothing is held: the broker is asked again after a write, and not before."""

from __future__ import annotations

import asyncio
import time

import pytest

from stream.installation.fetch_holds import (
    ASK_MS,
    EXPECTING_MS,
    LARGE_BYTES,
    MAX_ASK_MS,
    MAX_WAITING,
    Board,
    ClientSession,
)
from stream.installation.kafka_frames import Place
from tests.support.wire_frames import PLACES, answer_frame, fetch_frame, frame_of, produce_frame, produced_frame

FETCH, PRODUCE = 11, 8
LONG_MS = 60_000
EVENTS_7, OTHER = Place(b"events", 7), Place(b"events", 1)
OFFSETS = {place: 200 + place.partition for place in PLACES}
"""Offsets from which all fetches here read."""
NOTHING = answer_frame(FETCH, places=PLACES, end=200)
"""Answer without records; all partitions end before the offsets of the fetches."""


class Ends:
    """Both ends of a session: what the broker and the client have received."""

    def __init__(self, board: Board) -> None:
        self.asked: list[bytes] = []
        self.answered: list[bytes] = []
        self.came = asyncio.Event()
        self.session = ClientSession(board, self.asked.append, self._answer)

    def _answer(self, frame: bytes) -> None:
        self.answered.append(frame)
        self.came.set()

    def fetch(self, wait_ms: int = LONG_MS) -> None:
        """Send a fetch, to which the broker answers that there is nothing."""
        self.session.request(fetch_frame(FETCH, wait_ms=wait_ms))
        self.session.answer(NOTHING)


@pytest.fixture
async def board() -> Board:
    return Board()


@pytest.fixture
async def ends(board: Board) -> Ends:
    return Ends(board)


async def test_the_broker_looks_longer_where_records_are_expected_and_gets_the_same_request_otherwise(
    board: Board, ends: Ends
) -> None:
    ends.fetch()
    assert ends.asked == [fetch_frame(FETCH, wait_ms=EXPECTING_MS)]  # nothing is known yet

    board.learn(OFFSETS, {})
    reader = Ends(board)
    reader.fetch()
    assert reader.asked == [fetch_frame(FETCH, wait_ms=ASK_MS)]

    board.written({EVENTS_7: 207})
    assert reader.asked[1:] == [fetch_frame(FETCH, wait_ms=EXPECTING_MS)]


async def test_a_client_that_does_not_want_to_wait_gets_the_first_answer(ends: Ends) -> None:
    ends.fetch(wait_ms=0)

    assert (ends.asked, ends.answered) == ([fetch_frame(FETCH, wait_ms=0)], [NOTHING])


async def test_the_broker_looks_again_for_longer_if_it_has_missed_records_that_exist(board: Board) -> None:
    reader = Ends(board)
    missed = answer_frame(FETCH, places=PLACES, end=900)
    reader.session.request(fetch_frame(FETCH, wait_ms=LONG_MS))
    for _ in range(10):
        reader.session.answer(missed)

    waits = [EXPECTING_MS, 40, 80, 160, 320, 640, MAX_ASK_MS]
    assert reader.asked == [fetch_frame(FETCH, wait_ms=wait) for wait in waits]
    assert reader.answered == []  # the broker contradicts itself, so the fetch is held


async def test_a_fetch_without_records_is_answered_when_its_time_is_up_and_not_earlier(ends: Ends) -> None:
    began = time.monotonic()
    ends.fetch(wait_ms=50)
    assert ends.answered == []

    await asyncio.wait_for(ends.came.wait(), 5)
    assert (ends.answered, len(ends.asked)) == ([NOTHING], 1)
    assert time.monotonic() - began > 0.045


async def test_a_fetch_that_finds_records_is_answered_at_once(ends: Ends) -> None:
    records = answer_frame(FETCH, records=b"x" * 100)
    ends.session.request(fetch_frame(FETCH, wait_ms=LONG_MS))
    ends.session.answer(records)

    assert ends.answered == [records]


async def test_a_large_answer_is_passed_on_unread(ends: Ends) -> None:
    large = (77).to_bytes(4) + bytes(LARGE_BYTES)
    ends.session.request(fetch_frame(FETCH, wait_ms=LONG_MS))
    ends.session.answer(large)

    assert ends.answered == [large]


async def test_an_acknowledged_write_to_an_awaited_partition_makes_the_relay_ask_again(board: Board) -> None:
    reader, writer = Ends(board), Ends(board)
    reader.fetch()
    writer.session.request(produce_frame(PRODUCE, acks=-1))
    assert len(reader.asked) == 1  # the records are not readable yet

    acknowledged = produced_frame(PRODUCE, first=300)
    writer.session.answer(acknowledged)
    assert (writer.answered, len(reader.asked), reader.answered) == ([acknowledged], 2, [])

    records = answer_frame(FETCH, records=b"x" * 100)
    reader.session.answer(records)
    assert reader.answered == [records]


async def test_a_write_to_another_partition_wakes_no_reader(board: Board, ends: Ends) -> None:
    ends.fetch()
    board.written({OTHER: 300})

    assert (len(ends.asked), ends.answered) == (1, [])


async def test_a_write_that_the_reader_has_read_already_makes_the_relay_ask_no_more(board: Board, ends: Ends) -> None:
    ends.fetch()
    board.written({EVENTS_7: 206})

    assert (len(ends.asked), ends.answered) == (1, [])


async def test_a_write_while_the_broker_looks_makes_the_relay_ask_again(board: Board, ends: Ends) -> None:
    ends.session.request(fetch_frame(FETCH, wait_ms=LONG_MS))
    board.written({EVENTS_7: 207})
    ends.session.answer(answer_frame(FETCH, places=PLACES, end=200))

    assert (len(ends.asked), ends.answered) == (2, [])


async def test_many_writes_ask_the_broker_only_once_at_a_time(board: Board, ends: Ends) -> None:
    ends.fetch()
    for first in range(300, 400):
        board.written(dict.fromkeys(PLACES, first))

    assert len(ends.asked) == 2


async def test_an_answer_that_is_older_than_a_write_hides_no_records(board: Board) -> None:
    known = {EVENTS_7: 207}
    board.learn(known, {})
    board.written({EVENTS_7: 207})
    board.learn({EVENTS_7: 207}, before=known)
    assert board.end(EVENTS_7) == 208

    board.learn({EVENTS_7: 0}, before={EVENTS_7: 208})  # the topic was deleted and created again
    assert board.end(EVENTS_7) == 0


async def test_readers_look_for_the_records_of_a_producer_that_wants_no_answer(board: Board) -> None:
    reader, writer = Ends(board), Ends(board)
    reader.fetch()
    writer.session.request(produce_frame(PRODUCE, acks=0))

    async with asyncio.timeout(5):
        while len(reader.asked) < 2:  # noqa: ASYNC110 - a request to the broker sends no notification
            await asyncio.sleep(0.005)


async def test_an_error_is_held_so_briefly_that_the_client_notices_it_soon(ends: Ends) -> None:
    refused = answer_frame(FETCH, error=3)
    ends.session.request(fetch_frame(FETCH, wait_ms=LONG_MS))
    ends.session.answer(refused)
    assert ends.answered == []

    await asyncio.wait_for(ends.came.wait(), 5)
    assert ends.answered == [refused]


async def test_requests_behind_a_held_fetch_wait_and_keep_their_order(board: Board, ends: Ends) -> None:
    ends.fetch()
    behind = [produce_frame(PRODUCE, acks=-1, correlation=number) for number in (78, 79)]
    for frame in behind:
        ends.session.request(frame)
    assert len(ends.asked) == 1

    board.written({EVENTS_7: 300})
    ends.session.answer(answer_frame(FETCH, records=b"x"))
    assert ends.asked[2:] == behind


async def test_a_client_that_sends_much_behind_a_held_fetch_has_to_wait(ends: Ends) -> None:
    ends.fetch()
    for number in range(MAX_WAITING):
        assert not ends.session.is_full
        ends.session.request(produce_frame(PRODUCE, acks=-1, correlation=100 + number))

    assert ends.session.is_full


async def test_a_client_that_has_gone_waits_for_nothing(board: Board, ends: Ends) -> None:
    ends.fetch()
    ends.session.close()
    board.written(dict.fromkeys(PLACES, 300))

    assert len(ends.asked) == 1
    assert repr(board) == "<Board 3 ends, 0 partitions awaited>"


async def test_requests_and_answers_of_other_kinds_are_passed_on_unchanged(ends: Ends) -> None:
    from kafka.protocol.consumer.group import HeartbeatRequest

    beat = frame_of(HeartbeatRequest(group_id="g", generation_id=1, member_id="m"), 3)
    newer = fetch_frame(13)
    for frame in (beat, newer):
        ends.session.request(frame)
    ends.session.answer((77).to_bytes(4) + b"beat")

    assert (ends.asked, ends.answered) == ([beat, newer], [(77).to_bytes(4) + b"beat"])
