"""The relay connects each client with the broker, holds fetches, and closes both sides together."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stream.installation.fetch_holds import MAX_WAITING
from stream.installation.fetch_relay import serve
from stream.installation.kafka_frames import read_head
from tests.support.wire_frames import PLACES, answer_frame, fetch_frame, frame_of, produce_frame, produced_frame

FETCH, PRODUCE = 11, 8
HOST = "127.0.0.1"


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(size)


def framed(frame: bytes) -> bytes:
    return struct.pack(">i", len(frame)) + frame


def fetched(correlation: int, records: bytes | None = None) -> bytes:
    return answer_frame(FETCH, places=PLACES, records=records, end=200, correlation=correlation)


class WritableBroker:
    """A broker that has no records until it was written to; it counts the requests of each kind."""

    def __init__(self) -> None:
        self.asked: dict[int, int] = {}
        self.has_records = False
        self.clients: list[asyncio.StreamWriter] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.clients.append(writer)
        try:
            while True:
                head = read_head(await read_frame(reader))
                self.asked[head.api] = self.asked.get(head.api, 0) + 1
                if head.api == 1:
                    records = b"x" * 100 if self.has_records else None
                    writer.write(framed(fetched(head.correlation, records)))
                elif head.api == 0:
                    self.has_records = True
                    writer.write(framed(produced_frame(PRODUCE, first=300, correlation=head.correlation)))
                else:
                    writer.write(framed(head.correlation.to_bytes(4) + b"x" * 1_000_000))
        except asyncio.IncompleteReadError:
            writer.close()


@pytest.fixture
async def broker() -> WritableBroker:
    return WritableBroker()


@pytest.fixture
async def port(broker: WritableBroker) -> AsyncIterator[int]:
    """Port of a relay in front of the broker."""
    async with await asyncio.start_server(broker.talk, HOST, 0) as server:
        with socket.create_server((HOST, 0)) as listener:
            relaying = asyncio.create_task(serve(listener, server.sockets[0].getsockname()[1]))
            yield listener.getsockname()[1]
            relaying.cancel()
            await asyncio.wait([relaying])
        for client in broker.clients:
            client.close()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            yield reader, writer
        finally:
            writer.close()


async def test_a_waiting_client_costs_the_broker_one_request_and_gets_records_when_they_are_written(
    broker: WritableBroker, port: int
) -> None:
    async with connected(port) as (reader, writer), connected(port) as (other_reader, other_writer):
        writer.write(framed(fetch_frame(FETCH, wait_ms=200, correlation=1)))
        assert await read_frame(reader) == fetched(1)
        assert broker.asked == {1: 1}

        writer.write(framed(fetch_frame(FETCH, wait_ms=15_000, correlation=2)))
        other_writer.write(framed(produce_frame(PRODUCE, acks=-1, correlation=9)))
        assert await read_frame(other_reader) == produced_frame(PRODUCE, first=300, correlation=9)
        async with asyncio.timeout(5):
            assert await read_frame(reader) == fetched(2, b"x" * 100)
        assert broker.asked[1] in (2, 3)  # two, if the write came before the fetch


async def test_frames_of_any_size_arrive_whole_and_in_order(port: int) -> None:
    from kafka.protocol.consumer.group import HeartbeatRequest

    async with connected(port) as (reader, writer):
        frames = b"".join(
            framed(
                frame_of(HeartbeatRequest(group_id="g" * size, generation_id=1, member_id=""), 3, correlation=number)
            )
            for number, size in enumerate((1, 30_000, 5, 20_000))
        )
        for at in range(0, len(frames), 7_000):  # the frames arrive in pieces
            writer.write(frames[at : at + 7_000])
            await writer.drain()
        answers = [await read_frame(reader) for _ in range(4)]

    assert [int.from_bytes(answer[:4]) for answer in answers] == [0, 1, 2, 3]
    assert {len(answer) for answer in answers} == {1_000_004}


async def test_a_client_whose_broker_is_gone_sees_a_closed_connection(broker: WritableBroker, port: int) -> None:
    async with connected(port) as (reader, writer):
        writer.write(framed(fetch_frame(FETCH, wait_ms=1)))
        await read_frame(reader)
        for client in broker.clients:
            client.close()

        assert await reader.read() == b""


async def test_a_broker_that_does_not_listen_closes_the_client_too() -> None:
    with socket.create_server((HOST, 0)) as listener, socket.socket() as unused:
        unused.bind((HOST, 0))  # bound, so that no other program listens there
        relaying = asyncio.create_task(serve(listener, unused.getsockname()[1]))
        async with connected(listener.getsockname()[1]) as (reader, _):
            assert await reader.read() == b""
        relaying.cancel()
        await asyncio.wait([relaying])


async def test_a_client_that_sent_more_requests_than_may_wait_gets_all_answers(port: int) -> None:
    count = MAX_WAITING + 20
    async with connected(port) as (reader, writer):
        writer.write(framed(fetch_frame(FETCH, wait_ms=100, correlation=1_000)))
        for number in range(count):
            writer.write(framed(fetch_frame(FETCH, wait_ms=0, correlation=number)))
            await writer.drain()
        answers = [await read_frame(reader) for _ in range(count + 1)]

    assert [int.from_bytes(answer[:4]) for answer in answers] == [1_000, *range(count)]
