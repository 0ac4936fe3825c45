from __future__ import annotations

from pathlib import Path

import pytest

from models.events import CHANNELS
from stream.delivery.channels import PROVIDERS, DeliverySettings, open_channel
from stream.delivery.smtp import SmtpSettings
from tests.stream.delivery.letters import NOW, files, letter, text_message


def test_every_channel_stands_in_the_table() -> None:
    assert set(PROVIDERS) == set(CHANNELS)


async def test_without_any_setting_messages_go_to_the_outbox(tmp_path: Path) -> None:
    settings = DeliverySettings(outbox=tmp_path)
    for channel, message in (("email", letter()), ("sms", text_message())):
        sender = open_channel(channel, settings, now=lambda: NOW)  # type: ignore[arg-type] # literals widen in a tuple

        assert (await sender.send(message)).status == "delivered"
        await sender.close()

    assert {path.rpartition(".")[2] for path in files(tmp_path)} == {"eml", "json"}


def test_a_live_channel_without_a_secret_does_not_open(tmp_path: Path) -> None:
    settings = DeliverySettings(mode="live", outbox=tmp_path, smtp=SmtpSettings("127.0.0.1"))

    with pytest.raises(ValueError, match="secret"):
        open_channel("email", settings, now=lambda: NOW)
