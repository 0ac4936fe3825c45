"""Without settings, messages go to the outbox. No message leaves without a signed link."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from models.delivery.calls import Call
from models.delivery.deliveries import Result
from models.delivery.messages import Message
from models.events import CHANNELS, Channel
from stream.delivery.channels import PROVIDERS, open_channel
from stream.delivery.dispatcher import Dispatcher
from tests.support.dispatching import take
from tests.support.letters import NOW, files, letter
from tests.support.mail import live_mail, outbox_only

every_channel = pytest.mark.parametrize("channel", PROVIDERS)


async def delivered(dispatcher: Dispatcher, message: Message) -> Result:
    """Make a call of the provider, and return its result."""
    made = Call(message, 1)
    assert take(dispatcher, made) == 1
    return (await dispatcher.make(made)).result


def test_every_channel_is_in_the_table() -> None:
    assert set(PROVIDERS) == set(CHANNELS)


@every_channel
async def test_messages_go_to_the_outbox_without_any_setting(channel: Channel, tmp_path: Path) -> None:
    dispatcher = open_channel(channel, outbox_only(tmp_path), now=lambda: NOW)

    result = await delivered(dispatcher, letter(channel=channel))
    await dispatcher.close()

    assert result.status == "delivered"
    assert files(tmp_path) == [result.provider_id]


@every_channel
async def test_a_live_channel_without_a_provider_rejects(channel: Channel, tmp_path: Path) -> None:
    dispatcher = open_channel(channel, outbox_only(tmp_path, mode="live"), now=lambda: NOW)

    result = await delivered(dispatcher, letter(channel=channel))
    await dispatcher.close()

    assert (result.status, files(tmp_path)) == ("rejected", [])


def test_a_live_channel_without_a_secret_does_not_open(tmp_path: Path) -> None:
    settings = replace(live_mail(25, tmp_path), unsubscribe_keys=())

    with pytest.raises(ValueError, match="secret"):
        open_channel("email", settings, now=lambda: NOW)
