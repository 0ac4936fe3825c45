"""A delivery lane whose broker is in memory, with a dispatcher that calls a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from models.delivery.deliveries import decode_delivery
from models.delivery.messages import Message, encode_message
from models.events import Channel, Event, decode_event
from models.log import is_control
from models.units import now_ms
from stream.delivery.dispatcher import Dispatcher
from stream.engine.agent_spec import Stateful
from stream.engine.context import Clocks
from stream.engine.testing import LaneHarness
from stream.worker.topology import deliver_agents
from tests.support.counting import record


class DeliveryHarness(LaneHarness):
    """A lane of a channel that delivers messages."""

    def __init__(self, channel: Channel, dispatcher: Dispatcher, messages: list[Message]) -> None:
        self.dispatcher = dispatcher
        (spec,) = deliver_agents({channel: self.dispatcher}, now_ms)
        assert isinstance(spec, Stateful)
        records = [record(i, one.user.encode(), encode_message(one)) for i, one in enumerate(messages)]
        super().__init__(replace(spec, pace_s=0.0), records, clocks=Clocks())
        self.messages = messages

    @property
    def statuses(self) -> dict[str, str]:
        """Status of each message, by its recipient."""
        found = {one.id.encode(): one.to for one in self.messages}
        state = self.partition.state
        return {found[key]: decode_delivery(value).status for key, value in state.items() if not is_control(key)}

    @property
    def outcomes(self) -> dict[str | None, list[Event]]:
        """Outcomes by message."""
        events = [decode_event(output.value or b"") for output in self.partition.outputs]
        return {one.id: [event for event in events if event.message == one.id] for one in self.messages}

    async def until_all(self, *statuses: str) -> None:
        """Wait until every message has one of these statuses."""
        await self.until(
            lambda: len(self.statuses) == len(self.messages) and set(self.statuses.values()) <= set(statuses), 60
        )


@asynccontextmanager
async def delivering_lane(
    channel: Channel, dispatcher: Dispatcher, messages: list[Message]
) -> AsyncIterator[DeliveryHarness]:
    """Run a lane until the end of the block, and close its dispatcher."""
    made = DeliveryHarness(channel, dispatcher, messages)
    try:
        async with made:
            yield made
    finally:
        await dispatcher.close()
