"""Messages become files that people can open."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default
from pathlib import Path

import msgspec

from stream.delivery.outbox import Outbox
from tests.support.letters import LINK, files, letter, text_message


async def test_an_e_mail_is_a_file_that_a_mail_program_opens(tmp_path: Path) -> None:
    result = await Outbox(tmp_path / "out").deliver(letter(), unsubscribe=LINK, note="mode outbox")

    path = tmp_path / "out" / f"{letter().id}.eml"
    mail = message_from_bytes(path.read_bytes(), policy=default)
    assert (result.status, result.provider_id) == ("delivered", path.name)
    assert mail["To"] == "u0@example.com"
    assert mail["X-Perennial-Why"] == "churn risk rose"
    assert mail["List-Unsubscribe"] == f"<{LINK}>"


async def test_an_sms_is_a_json_file(tmp_path: Path) -> None:
    await Outbox(tmp_path).deliver(text_message(), unsubscribe=LINK, note="mode outbox")

    written = msgspec.json.decode((tmp_path / f"{text_message().id}.json").read_bytes())
    assert (written["to"], written["text"], written["outbox"]) == ("+4930901820", "Hello Ada\n", "mode outbox")


async def test_the_same_message_twice_is_one_file_and_no_draft_is_left(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)

    for _ in range(2):
        await outbox.deliver(letter(), unsubscribe=LINK, note="mode outbox")

    assert files(tmp_path) == [f"{letter().id}.eml"]


async def test_a_folder_that_cannot_be_written_is_a_temporary_failure(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "out")
    (tmp_path / "out").touch()

    result = await outbox.deliver(letter(), unsubscribe=LINK, note="mode outbox")

    assert result.status == "failed"


def test_an_outbox_makes_no_folder_before_its_first_message(tmp_path: Path) -> None:
    Outbox(tmp_path / "out")

    assert not (tmp_path / "out").exists()
