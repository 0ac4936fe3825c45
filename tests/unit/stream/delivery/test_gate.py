"""Only live messages leave, and only if the mode and the allowlist allow it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from models.configuration.templates import UNSUBSCRIBE_PLACEHOLDER
from models.events import Origin
from stream.delivery.gate import Gate, Mode, Reach
from stream.delivery.outbox import Outbox
from stream.delivery.unsubscribe import Signer
from tests.support.dispatching import FakeProvider
from tests.support.letters import NOW, files, letter

SIGNER = Signer([b"0123456789abcdef"], "https://events.example.com")


def open_gate(mode: Mode, folder: Path, provider: FakeProvider, *allowlist: str) -> Gate:
    return Gate(Reach(mode, allowlist), Outbox(folder), now=lambda: NOW, provider=provider, signer=SIGNER)


@pytest.mark.parametrize("mode", get_args(Mode))
@pytest.mark.parametrize("origin", get_args(Origin))
async def test_only_live_messages_leave_and_only_if_the_mode_allows_it(
    tmp_path: Path, mode: Mode, origin: Origin
) -> None:
    provider = FakeProvider()

    result = await open_gate(mode, tmp_path, provider, "@example.com").deliver(letter(origin=origin))

    leaves = origin == "live" and mode != "outbox"
    assert result.status == "delivered"
    assert len(provider.taken) == leaves
    assert len(files(tmp_path)) == (not leaves)


@pytest.mark.parametrize(
    ("entry", "leaves"),
    [("U0@Example.com", True), ("@EXAMPLE.com", True), ("example.com", False), ("@ample.com", False), ("@", False)],
)
async def test_the_allowlist_names_addresses_or_whole_domains(tmp_path: Path, entry: str, leaves: bool) -> None:
    provider = FakeProvider()

    await open_gate("allowlist", tmp_path, provider, entry).deliver(letter())

    assert len(provider.taken) == leaves


async def test_the_link_in_bodies_and_headers_is_signed_for_this_user(tmp_path: Path) -> None:
    provider = FakeProvider()
    template = letter(text=f"bye {UNSUBSCRIBE_PLACEHOLDER}\n", html=f'<a href="{UNSUBSCRIBE_PLACEHOLDER}">bye</a>')

    await open_gate("live", tmp_path, provider).deliver(template)

    ((message, link),) = provider.taken
    assert link is not None
    assert link.startswith("https://events.example.com/v1/unsubscribe?token=")
    assert SIGNER.verify(link.partition("token=")[2]).user == "u1"
    assert message.text == f"bye {link}\n"
    assert message.html == f'<a href="{link}">bye</a>'


async def test_a_message_in_the_outbox_names_the_reason(tmp_path: Path) -> None:
    await open_gate("live", tmp_path, FakeProvider()).deliver(letter(origin="simulate"))

    content = (tmp_path / f"{letter().id}.eml").read_bytes()
    assert b"X-Perennial-Outbox: origin simulate\r\n" in content


async def test_a_channel_without_a_provider_rejects_messages(tmp_path: Path) -> None:
    gate = Gate(Reach("live"), Outbox(tmp_path), now=lambda: NOW)

    assert (await gate.deliver(letter())).status == "rejected"


def test_no_message_leaves_without_a_way_to_unsubscribe(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="secret"):
        Gate(Reach("live"), Outbox(tmp_path), now=lambda: NOW, provider=FakeProvider())


async def test_closing_the_gate_closes_the_provider(tmp_path: Path) -> None:
    provider = FakeProvider()

    await open_gate("live", tmp_path, provider).close()

    assert provider.closed


async def test_a_look_up_asks_about_the_bytes_that_were_handed_over(tmp_path: Path) -> None:
    provider = FakeProvider()
    times = iter([NOW, NOW + 600_000])
    gate = Gate(Reach("live"), Outbox(tmp_path), now=lambda: next(times), provider=provider, signer=SIGNER)
    message = letter(text=f"Hi. {UNSUBSCRIBE_PLACEHOLDER}\n")

    await gate.deliver(message)
    result = await gate.look_up(message)

    assert result.status == "delivered"
    assert provider.asked == [provider.taken[0][0]]
