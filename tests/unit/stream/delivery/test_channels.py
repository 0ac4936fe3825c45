from __future__ import annotations

from pathlib import Path

import pytest

from models.delivery.deliveries import Result
from models.delivery.messages import Message
from models.delivery.queue import Call
from models.events import CHANNELS, Channel
from stream.delivery.channels import PROVIDERS, DeliverySettings, open_channel
from stream.delivery.desk import Desk
from stream.delivery.smtp import SmtpSettings
from tests.support.letters import NOW, files, letter

every_channel = pytest.mark.parametrize("channel", PROVIDERS)


async def delivered(desk: Desk, message: Message) -> Result:
    """Have a desk call its provider."""
    call = Call(message, 1)
    assert desk.take(1, lambda: None) == 1
    _, result = await desk.make(call)
    assert result is not None
    return result


def test_every_channel_stands_in_the_table() -> None:
    assert set(PROVIDERS) == set(CHANNELS)


@every_channel
async def test_without_any_setting_messages_go_to_the_outbox(channel: Channel, tmp_path: Path) -> None:
    desk = open_channel(channel, DeliverySettings(outbox=tmp_path), now=lambda: NOW)

    result = await delivered(desk, letter(channel=channel))
    await desk.close()

    assert result.status == "delivered"
    assert files(tmp_path) == [result.provider_id]


@every_channel
async def test_a_live_channel_without_a_provider_rejects(channel: Channel, tmp_path: Path) -> None:
    desk = open_channel(channel, DeliverySettings(mode="live", outbox=tmp_path), now=lambda: NOW)

    result = await delivered(desk, letter(channel=channel))
    await desk.close()

    assert (result.status, files(tmp_path)) == ("rejected", [])


def test_a_live_channel_without_a_secret_does_not_open(tmp_path: Path) -> None:
    settings = DeliverySettings(mode="live", outbox=tmp_path, smtp=SmtpSettings("127.0.0.1"))

    with pytest.raises(ValueError, match="secret"):
        open_channel("email", settings, now=lambda: NOW)
