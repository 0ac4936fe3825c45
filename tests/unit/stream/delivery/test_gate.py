from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import pytest

from models.configuration.templates import UNSUBSCRIBE_PLACEHOLDER
from models.delivery.deliveries import Result
from models.delivery.messages import Message
from models.events import Origin
from stream.delivery.gate import Gate, Mode
from stream.delivery.outbox import Outbox
from stream.delivery.provider import LastLook, unstopped
from stream.delivery.unsubscribe import Signer
from tests.support.letters import NOW, files, letter

SIGNER = Signer([b"0123456789abcdef"], "https://events.example.com")


@dataclass
class Real:
    """A provider that remembers what reached it."""

    taken: list[tuple[Message, str | None]] = field(default_factory=list)
    closed: bool = False
    max_concurrency: int = 1
    lookup_delays_ms: tuple[int, ...] = (1_000,)
    asked: list[Message] = field(default_factory=list)

    async def deliver(self, message: Message, *, unsubscribe: str | None, last_look: LastLook = unstopped) -> Result:
        self.taken.append((message, unsubscribe))
        return Result("delivered")

    async def look_up(self, message: Message) -> Result:
        self.asked.append(message)
        return Result("delivered", "found")

    async def close(self) -> None:
        self.closed = True


def _gate(mode: Mode, folder: Path, real: Real, *allowlist: str) -> Gate:
    return Gate(mode, Outbox(folder), now=lambda: NOW, provider=real, signer=SIGNER, allowlist=allowlist)


@pytest.mark.parametrize("mode", get_args(Mode))
@pytest.mark.parametrize("origin", get_args(Origin))
async def test_only_what_is_live_ever_leaves_and_only_where_it_may(tmp_path: Path, mode: Mode, origin: Origin) -> None:
    real = Real()

    result = await _gate(mode, tmp_path, real, "@example.com").deliver(letter(origin=origin))

    leaves = origin == "live" and mode != "outbox"
    assert result.status == "delivered"
    assert len(real.taken) == leaves
    assert len(files(tmp_path)) == (not leaves)


@pytest.mark.parametrize(
    ("entry", "leaves"),
    [("U0@Example.com", True), ("@EXAMPLE.com", True), ("example.com", False), ("@ample.com", False), ("@", False)],
)
async def test_the_allowlist_names_addresses_or_whole_domains(tmp_path: Path, entry: str, leaves: bool) -> None:
    real = Real()

    await _gate("allowlist", tmp_path, real, entry).deliver(letter())

    assert len(real.taken) == leaves


async def test_the_link_in_bodies_and_headers_is_signed_for_this_user(tmp_path: Path) -> None:
    real = Real()
    template = letter(text=f"bye {UNSUBSCRIBE_PLACEHOLDER}\n", html=f'<a href="{UNSUBSCRIBE_PLACEHOLDER}">bye</a>')

    await _gate("live", tmp_path, real).deliver(template)

    ((message, link),) = real.taken
    assert link is not None
    assert link.startswith("https://events.example.com/v1/unsubscribe?token=")
    assert SIGNER.verify(link.partition("token=")[2]).user == "u1"
    assert message.text == f"bye {link}\n"
    assert message.html == f'<a href="{link}">bye</a>'


async def test_what_stays_says_why(tmp_path: Path) -> None:
    await _gate("live", tmp_path, Real()).deliver(letter(origin="simulate"))

    content = (tmp_path / f"{letter().id}.eml").read_bytes()
    assert b"X-Perennial-Outbox: origin simulate\r\n" in content


async def test_a_channel_without_a_provider_rejects_instead_of_pretending(tmp_path: Path) -> None:
    gate = Gate("live", Outbox(tmp_path), now=lambda: NOW)

    assert (await gate.deliver(letter())).status == "rejected"


def test_nothing_leaves_without_a_way_to_unsubscribe(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="secret"):
        Gate("live", Outbox(tmp_path), now=lambda: NOW, provider=Real())


async def test_closing_closes_the_provider(tmp_path: Path) -> None:
    real = Real()

    await _gate("live", tmp_path, real).close()

    assert real.closed


async def test_the_provider_is_asked_about_the_very_bytes_that_it_got(tmp_path: Path) -> None:
    real = Real()
    times = iter([NOW, NOW + 600_000])
    gate = Gate("live", Outbox(tmp_path), now=lambda: next(times), provider=real, signer=SIGNER)
    message = letter(text=f"Hi. {UNSUBSCRIBE_PLACEHOLDER}\n")

    await gate.deliver(message)
    result = await gate.look_up(message)

    assert result.status == "delivered"
    assert real.asked == [real.taken[0][0]]
