"""Installation that all client tests of a process share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.clients.shop import ClientShop, open_shop


@pytest.fixture(scope="session")
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientShop]:
    """Run an installation, on Apache Kafka if ``KAFKA_HOME`` names one, otherwise on the embedded broker."""
    kafka = request.getfixturevalue("kafka_broker") if os.environ.get("KAFKA_HOME") else None
    with open_shop(tmp_path_factory.mktemp("shop"), kafka) as opened:
        yield opened
