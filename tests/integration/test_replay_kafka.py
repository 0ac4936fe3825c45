"""The real Online Retail file, replayed on Apache Kafka, gives the published lines, customers and revenue."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from stream.feed.reconciliation import reconcile
from stream.feed.recording import survey
from stream.feed.replaying import replay
from stream.installation.running import Installation, StartOptions, await_folding, own_ports, running
from stream.settings.loading import load
from tests.support.brokers import ApacheKafka
from tests.support.paths import ONLINE_RETAIL

LINES, CUSTOMERS, REVENUE = 541_909, 4_372, Decimal("9747747.934")

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture
def installation(kafka_broker: ApacheKafka, tmp_path: Path) -> Iterator[Installation]:
    flags = {**own_ports(), "folder": tmp_path, "kafka.servers": kafka_broker.address, "kafka.prefix": "retail."}
    # `embedded` is set explicitly, because the environment may name another broker
    with running(load(None, {**flags, "kafka.embedded": False}), ("worker",), StartOptions(clock="feeder")) as started:
        await_folding(started)
        yield started


@pytest.mark.skipif(not ONLINE_RETAIL.exists(), reason=f"{ONLINE_RETAIL} is not there")
async def test_the_profiles_sum_to_the_published_totals(installation: Installation) -> None:
    settings, recording = installation.settings, survey(ONLINE_RETAIL)

    done = await replay(settings, recording)
    found = await reconcile(settings.connection(), settings.partitions, recording, done)

    assert (found.lines, done.fed + done.rejected) == (LINES, LINES)
    assert found.folded + found.rejected == LINES, f"{done.rejected} were rejected at the door"
    assert (found.customers, found.revenue) == (CUSTOMERS, {"GBP": REVENUE})
