"""The numbers of a campaign before it is started, from the committed state of all partitions."""

from __future__ import annotations

from models.fold.campaign_preview import CampaignForecast, forecast
from models.log import CampaignOrder
from stream.cluster.connection import Connection
from stream.engine.state import restore

STATE = "profiles"
"""Logical name of the topic that has the state of the users."""


async def forecast_all(connection: Connection, partitions: int, order: CampaignOrder, now: int) -> CampaignForecast:
    """Return what a start would do in all partitions, if no event came meanwhile.

    The state of each partition is read from Kafka into this process, one partition after the other.
    """
    whole = CampaignForecast()
    for partition in range(partitions):
        state = await restore(connection, STATE, partition, in_use=connection.transactions)
        whole.add(forecast(state, order, now))
    return whole
