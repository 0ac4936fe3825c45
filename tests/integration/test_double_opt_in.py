"""Double opt-in from a form in a page to the consent: the door, the fold, the outbox, and the link in the e-mail."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from models.delivery.messages import Message, decode_message
from models.delivery.notices import is_notice
from models.events import Event
from models.units import DAY
from stream.cluster.connection import Connection
from stream.collector.confirm_links import ConfirmLinks
from stream.delivery.confirming import PATH, Confirmation, confirm_token
from stream.delivery.gate import Gate, Reach
from stream.delivery.outbox import Outbox
from stream.delivery.unsubscribe import Signer, Unsubscription
from tests.support.brokers import Cluster
from tests.support.doors import NOW, Client, DoorParts, door, events
from tests.support.statement_logs import StatementLog

SECRET = b"0123456789abcdef"
SIGNER = Signer([SECRET], "http://door.example")
CONFIRMATION = Confirmation("u1", "news", "email", "m", NOW + DAY)
SETTINGS = {"confirm": ["email"], "purposes": ["news"]}
FORM = [
    {"type": "identify", "userId": "u1", "traits": {"email": "ada@example.org"}, "messageId": "m1"},
    {
        "type": "track",
        "userId": "u1",
        "event": "Consent Given",
        "messageId": "m2",
        "properties": {"channel": "email", "purpose": "news", "text": "footer 2", "source": "footer"},
    },
]


class Wall:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


def parts(wall: Wall) -> DoorParts:
    return DoorParts(more=lambda log: [ConfirmLinks(log, SIGNER, wall)], now=wall)


def folded(found: list[Event]) -> StatementLog:
    """Fold events with the clock of the door."""
    return StatementLog(*found, consent=SETTINGS, start=NOW)


def asked(found: list[Event]) -> list[Message]:
    records = folded(found).records("messages.email")
    return [decode_message(value) for value in records if not is_notice(value)]


async def link_in(message: Message, folder: Path) -> str:
    """Deliver an e-mail to the outbox, and return the link that a reader finds in it."""
    gate = Gate(
        Reach("outbox"),
        Outbox(folder),
        now=lambda: NOW,
        signer=SIGNER,
    )
    assert (await gate.deliver(message)).status == "delivered"
    mail = message_from_bytes((folder / f"{message.id}.eml").read_bytes(), policy=policy.default)
    assert mail["To"] == "ada@example.org"
    assert "List-Unsubscribe" not in mail
    body = mail.get_body(("plain",))
    assert body is not None
    (link,) = re.findall(r"http://door\.example(\S+)", body.get_content())
    return str(link)


async def fill_in(client: Client) -> None:
    """Send what a page with a browser key sends after its form was filled in."""
    body = {"batch": FORM, "writeKey": "wk_web"}
    assert (await client.post("/v1/batch", json=body)).status == 200


async def test_only_the_button_behind_the_link_grants_and_again_it_changes_nothing(
    embedded: Cluster, tmp_path: Path
) -> None:
    embedded.create(events=1)
    wall = Wall()
    async with door(embedded.connection, browser_keys=["wk_web"], parts=parts(wall)) as client:
        await fill_in(client)
        found = await events(embedded.connection, 2)
        assert {event.trust for event in found} == {"public"}
        assert folded(found).granted == {}
        (message,) = asked(found)
        link = await link_in(message, tmp_path)

        page = await client.get(link)
        shown = await page.text()
        assert page.status == 200
        assert '<form method="post"' in shown
        assert "script" not in shown
        assert "ada@example.org" not in shown
        assert await _count(embedded.connection, client, 3) == 3, "following the link must write no event"

        wall.now += DAY
        for _ in range(2):
            answer = await client.post(link)
            assert (answer.status, answer.history) == (200, ())
            assert "If this link is still valid" in await answer.text()
        found = await events(embedded.connection, 5)

    log = folded(found)
    assert log.granted == {"news@email": True}
    state = log.facts.consent["news@email"]
    assert (state.at, state.confirmed, state.source, state.text) == (NOW + DAY, True, "confirmation link", "footer 2")
    assert len(asked(found)) == 1


async def _count(connection: Connection, client: Client, number: int) -> int:
    """Send one more event, and return the number of events when it is in the log."""
    click = {"type": "click", "user": "u2", "item": "i", "id": "last", "writeKey": "wk_web"}
    assert (await client.post("/v1/track", json=click)).status == 200
    return len(await events(connection, number))


async def test_a_link_expires_after_seven_days(embedded: Cluster, tmp_path: Path) -> None:
    embedded.create(events=1)
    wall = Wall()
    async with door(embedded.connection, browser_keys=["wk_web"], parts=parts(wall)) as client:
        await fill_in(client)
        (message,) = asked(await events(embedded.connection, 2))
        link = await link_in(message, tmp_path)
        wall.now = message.at + 7 * DAY
        for answer in (await client.get(link), await client.post(link)):
            assert answer.status == 400
            assert "older than 7 days" in await answer.text()
        wall.now -= 1
        assert (await client.get(link)).status == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "token",
    [
        "",
        "x.y",
        '"><script>',
        SIGNER.token(Unsubscription("u1", "email")),
        confirm_token(Signer([b"another-secret-16"], "x"), CONFIRMATION),
    ],
)
async def test_a_token_that_was_not_made_for_this_changes_nothing(method: str, token: str) -> None:
    async with door(Connection("127.0.0.1:1"), timeout_s=0.5, parts=parts(Wall())) as client:
        answer = await client.request(method, PATH, params={"token": token})

        assert answer.status == 400
        assert "<script>" not in await answer.text()


async def test_a_link_that_confirms_cannot_be_used_as_an_unsubscribe_link() -> None:
    token = confirm_token(SIGNER, CONFIRMATION)
    async with door(Connection("127.0.0.1:1"), timeout_s=0.5, parts=parts(Wall())) as client:
        assert (await client.post("/v1/unsubscribe", params={"token": token})).status == 400


async def test_the_page_asks_to_try_again_while_kafka_is_away() -> None:
    token = confirm_token(SIGNER, CONFIRMATION)
    async with door(Connection("127.0.0.1:1"), timeout_s=0.5, parts=parts(Wall())) as client:
        answer = await client.post(PATH, params={"token": token})

    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
