"""The starts of campaigns come from the workers of all partitions together, with those that a partition has refused."""

from __future__ import annotations

import itertools

from models.batch import Restored
from models.events import Event
from models.log import CampaignOrder, Control, Tick, opening
from stream.installation.campaign_starts import order_of
from stream.lookup.campaigns import CampaignLookups
from stream.lookup.server import LookupServer
from tests.support.campaign_logs import CAMPAIGNS, configuration, start
from tests.support.event_logs import START, fold_log, written

LATE = CAMPAIGNS["late"]


def partition(number: int, *records: Control) -> Restored:
    user = Event(id="e", user="u", type="click", at=START, origin="simulate")
    contents: list[Event | Control] = [opening("feeder"), Tick(START), configuration(), user, *records]
    state, _ = fold_log(written(contents), itertools.repeat(50))
    state.partition = number
    return state


async def test_a_start_that_a_partition_has_refused_is_shown_and_one_that_is_missing_there_is_repeated() -> None:
    known = dict(
        enumerate(
            (
                partition(0, start(LATE)),
                partition(1, configuration(2, campaigns=[]), start(LATE)),
                partition(2, start(LATE), CampaignOrder("pause", start(LATE).id)),
            )
        )
    )
    server = LookupServer(restored=known.get, owns=known.__contains__, standing=dict, partitions=3, identity="ours")
    address = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"

    try:
        found = await CampaignLookups([address], 3, lambda: "ours").states()
    finally:
        await server.stop()

    assert found.partitions == {start(LATE).id: 2}
    assert found.numbers == {"late": 1}
    assert {number: one.why for number, one in found.refusals(start(LATE).id).items()} == {1: "other_definition"}
    assert [number for number, _ in found.refused_of("late")] == [1]
    assert order_of(LATE, START, "", found, 3).id == start(LATE).id
