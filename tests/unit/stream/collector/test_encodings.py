from __future__ import annotations

import gzip
import time
import zlib
from typing import Any

import pytest
import zstandard

from stream.cluster.connection import Connection
from stream.collector.encodings import MAX_MEMBERS, DamagedBody, decompressed
from tests.support.brokers import Cluster
from tests.support.doors import CLICK, PAGE, counted, door, events

TEXT = b'{"type":"page","userId":"u1","messageId":"m1"}'


def raw_deflate(content: bytes) -> bytes:
    made = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return made.compress(content) + made.flush()


MADE: dict[str, Any] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP": gzip.compress,
    "deflate": zlib.compress,
    " deflate ": raw_deflate,
    "zstd": zstandard.ZstdCompressor().compress,
    "identity": bytes,
    "": bytes,
}


@pytest.mark.parametrize("encoding", MADE)
def test_a_compressed_body_is_read(encoding: str) -> None:
    assert decompressed(MADE[encoding](TEXT), encoding, 1_000) == TEXT


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("zstd", MADE["zstd"])])
def test_a_body_of_several_parts_is_read_to_its_end(encoding: str, compress: Any) -> None:
    assert decompressed(compress(TEXT) + compress(TEXT) + b"\0\0", encoding, 1_000) == TEXT + TEXT


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("zstd", MADE["zstd"])])
def test_a_body_of_many_thousand_parts_is_refused_before_it_takes_minutes(encoding: str, compress: Any) -> None:
    """The remaining body is copied after each part, so 4 MB of empty parts would block the event loop for minutes."""
    most = 4 * 1024 * 1024
    body = compress(b"") * (most // len(compress(b"")))
    began = time.process_time()

    with pytest.raises(DamagedBody, match="more than 128 members of gzip"):
        decompressed(body, encoding, most)

    assert time.process_time() - began < 2.0
    assert decompressed(compress(b"x") * MAX_MEMBERS, encoding, most) == b"x" * MAX_MEMBERS


@pytest.mark.parametrize("encoding", [name for name in MADE if name.strip() not in ("", "identity")])
def test_no_more_is_decompressed_than_is_allowed(encoding: str) -> None:
    bomb = MADE[encoding](b"x" * 50_000_000)

    assert len(bomb) < 100_000
    assert decompressed(bomb, encoding, 1_000) == b"x" * 1_001


@pytest.mark.parametrize("encoding", [name for name in MADE if name.strip() not in ("", "identity")])
@pytest.mark.parametrize("damage", ["cut", "flipped", "other", "tail"])
def test_a_damaged_body_is_refused_with_its_encoding(encoding: str, damage: str) -> None:
    good = MADE[encoding](TEXT * 20)
    bad = {"cut": good[:-6], "flipped": b"\xff\xff" + good[2:], "other": b"not compressed", "tail": good + b"junk"}

    with pytest.raises(DamagedBody):
        decompressed(bad[damage], encoding, 10_000)


@pytest.mark.parametrize("encoding", ["br", "compress", "gzip, gzip", "\xff", "x" * 500])
def test_an_unknown_encoding_is_refused_with_its_name(encoding: str) -> None:
    with pytest.raises(DamagedBody, match="Content-Encoding"):
        decompressed(TEXT, encoding, 1_000)


def test_a_zstd_frame_with_a_huge_window_is_refused() -> None:
    wide = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    )
    made = wide.compressobj()
    content = made.compress(TEXT) + made.flush()

    with pytest.raises(DamagedBody, match="zstd"):
        decompressed(content, "zstd", 1_000)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
async def test_a_compressed_event_is_accepted(embedded: Cluster, encoding: str) -> None:
    embedded.create(events=1)

    async with door(embedded.connection) as client:
        answer = await client.post("/v1/page", data=MADE[encoding](TEXT), headers={"Content-Encoding": encoding})
        assert answer.status == 200, await answer.text()

    assert [event.id for event in await events(embedded.connection, 1)] == ["m1"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "br", "snappy"])
async def test_a_damaged_body_is_400_in_json_counted_and_not_logged(
    encoding: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = counted("events_rejected", reason="bad_body")

    async with door(Connection("127.0.0.1:1"), timeout_s=0.2) as client:
        # The second request on the same connection is read as well.
        answers = [
            await client.post("/v1/track", data=b"\x00garbage", headers={"Content-Encoding": encoding})
            for _ in range(2)
        ]
        for answer in answers:
            said = await answer.json()
            assert (answer.status, said["code"]) == (400, "bad_body")
            assert answer.headers["Accept-Encoding"] == "gzip, deflate, zstd"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"

    assert counted("events_rejected", reason="bad_body") == before + 2
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "deflate"])
async def test_a_body_that_is_huge_after_decompression_is_413(embedded: Cluster, encoding: str) -> None:
    embedded.create(events=1, events_rejected=1)

    async with door(embedded.connection) as client:
        bomb = MADE[encoding](b" " * 50_000_000)
        answers = [
            await client.post(f"/v1/{path}", data=bomb, headers={"Content-Encoding": encoding})
            for path in ("batch", "track")
        ]
        assert [answer.status for answer in answers] == [413, 413]
        assert (await client.post("/v1/batch", json={"batch": [CLICK, PAGE]})).status == 200
