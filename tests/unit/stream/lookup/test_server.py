"""Workers answer questions about segments by rule for the partitions that they own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest

from models.batch import Restored
from models.units import MINUTE
from stream.lookup.client import LookupFailed, UnknownUser, ask_json
from stream.lookup.server import LogUnreadable, LookupServer
from tests.support.segment_logs import VIEWERS, folded, segments_in_use, tick, viewed

ODD = {"name": "half/ten % \N{SNOWMAN}", "when": VIEWERS["when"]}


@pytest.fixture
async def address() -> AsyncIterator[str]:
    views = [viewed("u1", 0), viewed("u1", MINUTE), viewed("u2", 0)]
    state: Restored = folded(segments_in_use(1, VIEWERS, ODD), tick(0), tick(MINUTE), *views)
    server = LookupServer(
        restored=lambda _: state, owns=lambda _: True, standing=dict, partitions=1, identity="ours/perennial."
    )
    yield f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"
    await server.stop()


@pytest.mark.parametrize("name", ["viewers", ODD["name"]])
async def test_why_is_answered_for_a_segment_of_any_name(address: str, name: str) -> None:
    member = await ask_json([address], f"/v1/users/u1/why/{quote(name, safe='')}")
    other = await ask_json([address], f"/v1/users/u2/why/{quote(name, safe='')}")

    assert (member["segment"], member["since"] is None, member["failing"]) == (name, False, [])
    assert (other["since"], other["failing"]) == (None, [VIEWERS["when"]])


async def test_an_unknown_segment_and_an_unknown_user_are_refused_with_a_reason(address: str) -> None:
    with pytest.raises(UnknownUser, match=r"no segment 'viewrs' \(did you mean viewers"):
        await ask_json([address], "/v1/users/u1/why/viewrs")
    with pytest.raises(UnknownUser, match="no user 'unknown'"):
        await ask_json([address], "/v1/users/unknown/why/viewers")


# --- deciding events -------------------------------------------------------------------------------------------------


async def test_the_log_is_read_only_for_a_question_that_asks_for_it() -> None:
    state: Restored = folded(segments_in_use(1, VIEWERS), tick(0), viewed("u1", 0))
    server = LookupServer(
        restored=lambda _: state, owns=lambda _: True, standing=dict, partitions=1, identity="ours/perennial."
    )
    asked: list[dict[str, Any]] = []

    async def with_events(answer: dict[str, Any]) -> dict[str, Any]:
        asked.append(answer)
        return answer | {"read": True}

    address = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"
    with pytest.raises(LookupFailed, match="does not read the log"):
        await ask_json([address], "/v1/users/u1/why/viewers?events=log")
    server.with_events = with_events
    quick = await ask_json([address], "/v1/users/u1/why/viewers")
    whole = await ask_json([address], "/v1/users/u1/why/viewers?events=log")
    with pytest.raises(LookupFailed, match="events: found 'all'; allowed: log"):
        await ask_json([address], "/v1/users/u1/why/viewers?events=all")
    await server.stop()

    assert (quick["partition"], quick["position"], quick["tree"]["no_event"]) == (0, state.position, "not_read")
    assert whole == quick | {"read": True}
    assert asked == [quick]


async def test_a_log_that_cannot_be_read_is_named_and_the_next_question_is_answered() -> None:
    state: Restored = folded(segments_in_use(1, VIEWERS), tick(0), viewed("u1", 0))
    server = LookupServer(
        restored=lambda _: state, owns=lambda _: True, standing=dict, partitions=1, identity="ours/perennial."
    )

    async def with_events(answer: dict[str, Any]) -> dict[str, Any]:
        raise LogUnreadable("the broker is away")

    server.with_events = with_events
    address = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"
    for _ in range(2):
        with pytest.raises(LookupFailed, match="the broker is away"):
            await ask_json([address], "/v1/users/u1/why/viewers?events=log")
    await server.stop()
