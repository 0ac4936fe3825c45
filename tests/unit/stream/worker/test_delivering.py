"""A delivery that opens holds its messages until everything that they need is known."""

from __future__ import annotations

from pathlib import Path

from stream.cluster.connection import Connection
from stream.delivery.holds import Holds
from stream.delivery.self_check import UNREAD
from stream.settings.loading import load
from stream.worker.delivering import open_delivery


async def test_messages_wait_until_the_rules_are_read_and_as_long_as_a_secret_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "perennial.yaml"
    smtp = "{host: mail.example, port: 587, from: shop@shop.example, username: shop, password: {env: NOT_SET}}"
    file.write_text(f"version: 1\ndelivery: {{mode: live, smtp: {smtp}}}\n")
    holds = Holds()

    open_delivery(Connection("127.0.0.1:1"), load(file, {}, {}), holds)

    assert {UNREAD, "secrets.smtp"} <= holds.reasons("email").keys()
    assert "secrets.smtp" not in holds.reasons("sms")
