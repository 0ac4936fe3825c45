"""The page behind an unsubscribe link, its buttons and its choices, at an open door."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import Any

import pytest

from models.configuration.preference_links import LINK_REQUESTED
from models.delivery.address_hashes import AddressHashes
from models.delivery.messages import decode_message
from models.delivery.notices import is_notice
from models.delivery.suppression import SCOPE_OF, TOPIC, Reason, SuppressionEntry, encode_entry, key_of
from models.delivery.suppression_list import SuppressionList
from models.events import Event
from models.log import Control, Tick
from models.units import DAY, SECOND
from stream.cluster.connection import Connection
from stream.collector.consent_choices import ConsentChoices
from stream.collector.preference_page import NEW_LINK_PATH, PREFERENCES_PATH
from stream.delivery.unsubscribe import PATH, SHOWS_FOR_MS, Unsubscription
from stream.lookup.owners import Owners
from stream.lookup.server import LookupServer
from tests.support.brokers import Cluster
from tests.support.doors import NOW, SIGNER, Client, DoorParts, door, events
from tests.support.statement_logs import StatementLog, event, given, traits
from tests.support.topic_reading import read_until

ADDRESS = "ada@example.org"
HASHES = AddressHashes([b"0123456789abcdef"])
HASH = HASHES.newest("email", ADDRESS)
SETTINGS: dict[str, Any] = {"confirm": ["email"], "purposes": ["tips"]}
KNOWN = traits(NOW - DAY, email=ADDRESS, phone="+4930901820", firstName="Ada")
BOTH = (given(NOW - DAY, "email", id="email", confirmed=True), given(NOW - DAY, "sms", id="sms", confirmed=True))
TIPS = event("consent", NOW - DAY, id="tips", channel="email", purpose="tips", confirmed=True)
NOWHERE = Connection("127.0.0.1:1")


def folded(*log: Event | Control) -> StatementLog:
    return StatementLog(*log, consent=SETTINGS, start=NOW - DAY)


def link(path: str = PATH, query: str = "", **said: Any) -> str:
    content: dict[str, Any] = {"user": "u1", "channel": "email", "address": HASH, "shows_until": NOW + DAY} | said
    return f"{path}?token={SIGNER.token(Unsubscription(**content))}{query}"


@asynccontextmanager
async def shown(
    log: StatementLog | None, connection: Connection = NOWHERE, listed: SuppressionList | None = None
) -> AsyncIterator[Client]:
    """Open a door whose worker has folded a log; ``None`` is a worker that does not run."""
    made = listed or SuppressionList(HASHES)
    server = LookupServer(
        restored=lambda _: None if log is None else log.state, owns=lambda _: True, standing=dict, partitions=1
    )
    place = "127.0.0.1:1" if log is None else f"127.0.0.1:{await server.start('127.0.0.1', 0)}"
    owners = Owners([place], 1)
    parts = DoorParts(listed=made, choices=ConsentChoices(owners, made))
    try:
        async with door(connection, timeout_s=0.5 if connection is NOWHERE else 10.0, parts=parts) as client:
            yield client
    finally:
        await owners.close()
        await server.stop()


class Boxes(HTMLParser):
    """The checkboxes of a page, and whether each is ticked and can be changed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ticked: dict[str, bool] = {}
        self.disabled: set[str] = set()
        self.buttons: list[str] = []
        self.hidden: list[str] = []
        self._in_button = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        self._in_button = tag == "button"
        if tag == "input" and said["type"] == "checkbox":
            self.ticked[said["value"] or ""] = "checked" in said
            if "disabled" in said:
                self.disabled.add(said["value"] or "")
        elif tag == "input":
            self.hidden.append(said["value"] or "")

    def handle_data(self, data: str) -> None:
        if self._in_button:
            self.buttons.append(data)
            self._in_button = False


async def test_the_page_offers_to_stop_all_first_and_shows_the_choices_on_each_channel() -> None:
    async with shown(folded(KNOWN, *BOTH)) as client:
        answer = await client.get(link())
        html = await answer.text()

    page = Boxes(html)
    assert answer.status == 200
    assert page.buttons == ["Unsubscribe from all", "No more marketing by e-mail", "Save my choices"]
    assert page.ticked == {"marketing@email": True, "tips@email": False, "marketing@sms": True, "tips@sms": False}
    assert page.disabled == {"tips@sms"}, "no e-mail can confirm a grant by SMS"
    assert "Offers and news" in html
    assert not re.search("ada|example.org|30901820", html, re.IGNORECASE)


async def test_the_page_needs_no_script_no_cookie_and_nothing_from_elsewhere() -> None:
    async with shown(folded(KNOWN, *BOTH)) as client:
        answer = await client.get(link())
        html = await answer.text()

    assert "Set-Cookie" not in answer.headers
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script|src=|<link|\bon\w+=|style=", html)


async def test_what_is_unticked_ends_at_once_and_nothing_else(embedded: Cluster) -> None:
    embedded.create(events=1, suppressions=1)
    log = folded(KNOWN, *BOTH, TIPS)
    async with shown(log, embedded.connection) as client:
        page = Boxes(await (await client.get(link())).text())
        form = [("shown", each) for each in page.hidden] + [("ticked", "marketing@email"), ("ticked", "marketing@sms")]
        answer = await client.post(link(PREFERENCES_PATH), data=form)
        assert (answer.status, answer.history) == (200, ())
        assert (await client.post("/v1/track", json={"type": "click", "user": "u2", "item": "i"})).status == 200

    withdrawn, _ = await events(embedded.connection, 2)
    assert (withdrawn.granted, withdrawn.purpose, withdrawn.channel) == (False, "tips", "email")
    after = folded(KNOWN, *BOTH, TIPS, withdrawn)
    assert after.granted == {"email": True, "sms": True, "tips@email": False}


async def test_a_channel_without_any_choice_left_stops_its_address_for_every_user(embedded: Cluster) -> None:
    embedded.create(events=1, suppressions=1)
    async with shown(folded(KNOWN, *BOTH), embedded.connection) as client:
        form = [("shown", "marketing@email=1"), ("shown", "tips@email=0"), ("shown", "marketing@sms=1")]
        answer = await client.post(link(PREFERENCES_PATH), data=[*form, ("ticked", "marketing@sms")])
        assert answer.status == 200

    (entry,) = await read_until(embedded.connection, TOPIC, bool)
    assert entry.key == f"{HASH}:unsubscribe".encode()


async def test_what_is_ticked_waits_for_a_confirmation_by_mail(embedded: Cluster) -> None:
    embedded.create(events=1)
    async with shown(folded(KNOWN, *BOTH), embedded.connection) as client:
        form = [("shown", "tips@email=0"), ("shown", "tips@sms=0"), ("ticked", "tips@email"), ("ticked", "tips@sms")]
        answer = await client.post(link(PREFERENCES_PATH), data=form)
        assert "begins when you confirm it there" in await answer.text()

    asked = await events(embedded.connection, 2)
    assert {one.trust for one in asked} == {"public"}
    after = folded(KNOWN, *BOTH, *asked)
    assert after.granted == {"email": True, "sms": True}, "nothing is granted before the confirmation"
    mails = [decode_message(value) for value in after.records("messages.email") if not is_notice(value)]
    assert [(mail.to, mail.confirms) for mail in mails] == [(ADDRESS, "tips")]
    async with shown(after) as client:
        assert "waits for your confirmation" in await (await client.get(link())).text()


async def test_an_old_link_shows_nothing_still_withdraws_and_mails_a_new_one(embedded: Cluster) -> None:
    embedded.create(events=1)
    log = folded(KNOWN, *BOTH)
    async with shown(log, embedded.connection) as client:
        page = Boxes(await (await client.get(link(shows_until=NOW))).text())
        assert page.ticked == {}
        assert page.buttons == ["Unsubscribe from all", "No more marketing by e-mail", "Send me a new link by e-mail"]
        form = [("shown", "marketing@email=1"), ("shown", "tips@email=0"), ("ticked", "tips@email")]
        assert (await client.post(link(PREFERENCES_PATH, shows_until=NOW, address=""), data=form)).status == 200
        assert (await client.post(link(NEW_LINK_PATH, shows_until=0))).status == 200

    found = await events(embedded.connection, 3)
    assert [(one.type, one.granted, one.name) for one in found] == [
        ("consent", False, None),
        ("custom", None, LINK_REQUESTED),
        ("custom", None, LINK_REQUESTED),
    ]
    after = folded(KNOWN, *BOTH, Tick(at=NOW), *found)
    assert after.granted["email"] is False
    (mail,) = [decode_message(value) for value in after.records("messages.email") if not is_notice(value)]
    assert (mail.to, mail.category) == (ADDRESS, "transactional")
    said = SIGNER.verify(SIGNER.link(mail).partition("token=")[2])
    assert said.shows_until == (NOW + SHOWS_FOR_MS) // SECOND * SECOND
    assert after.decisions["preference_link"][0] == "cooldown", "an old link must not flood the address"


@pytest.mark.parametrize("worker", ["absent", "does not know the user", "restores"])
async def test_the_page_still_withdraws_while_the_choices_cannot_be_shown(embedded: Cluster, worker: str) -> None:
    embedded.create(events=1, suppressions=1)
    log = folded(KNOWN) if worker == "does not know the user" else None
    async with shown(log, embedded.connection) as client:
        said = {"user": "erased"} if worker == "does not know the user" else {}
        html = await (await client.get(link(**said))).text()
        assert "cannot be shown at the moment" in html
        assert Boxes(html).buttons == ["Unsubscribe from all", "No more marketing by e-mail"]
        assert (await client.post(link(**said))).status == 200

    assert len(await events(embedded.connection, 1)) == 1
    assert len(await read_until(embedded.connection, TOPIC, bool)) == 1


@pytest.mark.parametrize(
    ("query", "scope", "written"),
    [
        ("", "channel", ("email", None)),
        ("", "purpose", ("email", "tips")),
        ("&stop=all", "purpose", (None, None)),
        ("&stop=channel", "purpose", ("email", None)),
        ("&stop=purpose", "channel", ("email", "tips")),
        ("&stop=nonsense", "purpose", ("email", None)),
    ],
)
async def test_each_button_withdraws_what_it_says(
    embedded: Cluster, query: str, scope: Any, written: tuple[str | None, str | None]
) -> None:
    embedded.create(events=1, suppressions=1)
    async with door(embedded.connection) as client:
        body = {"List-Unsubscribe": "One-Click"}
        assert (await client.post(link(query=query, scope=scope, purpose="tips"), data=body)).status == 200

    (withdrawn,) = await events(embedded.connection, 1)
    assert (withdrawn.channel, withdrawn.purpose, withdrawn.granted) == (*written, False)


async def test_with_the_scope_of_a_purpose_the_page_offers_all_marketing_first() -> None:
    async with shown(None) as client:
        html = await (await client.get(link(scope="purpose", purpose="tips"))).text()

    assert Boxes(html).buttons == ["Unsubscribe from all", "No more marketing by e-mail", "No more “Tips” by e-mail"]


@pytest.mark.parametrize(
    ("reason", "ticked", "can_change"),
    [("unsubscribe", False, True), ("complaint", False, False), ("bounce", False, False)],
)
async def test_what_the_suppression_list_stops_is_not_shown_as_granted(
    reason: Reason, ticked: bool, can_change: bool
) -> None:
    listed = SuppressionList(HASHES)
    entry = SuppressionEntry(scope=SCOPE_OF[reason], reason=reason, channel="email", at=NOW)
    listed.apply(key_of(HASH, reason), encode_entry(entry))
    async with shown(folded(KNOWN, *BOTH), listed=listed) as client:
        page = Boxes(await (await client.get(link())).text())

    assert page.ticked["marketing@email"] is ticked
    assert ("marketing@email" not in page.disabled) is can_change
    assert page.ticked["marketing@sms"] is True


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"ticked": "marketing@email"},
        {"shown": "marketing@pigeon=1"},
        {"shown": "<b>@email=1"},
        {"shown": "marketing@email=2"},
    ],
)
async def test_a_form_that_is_not_ours_changes_nothing(form: dict[str, str]) -> None:
    async with door(NOWHERE, timeout_s=0.5) as client:
        assert (await client.post(link(PREFERENCES_PATH), data=form)).status == 400


async def test_without_kafka_nothing_is_promised() -> None:
    async with door(NOWHERE, timeout_s=0.5) as client:
        for path, form in ((PREFERENCES_PATH, {"shown": "marketing@email=1"}), (NEW_LINK_PATH, {})):
            answer = await client.post(link(path), data=form)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


@pytest.mark.parametrize("path", [PATH, PREFERENCES_PATH, NEW_LINK_PATH])
async def test_an_altered_token_changes_nothing(path: str) -> None:
    async with door(NOWHERE, timeout_s=0.5) as client:
        for token in ("", "x" * 60, SIGNER.sealed(b"another kind", b"x")):
            answer = await client.post(f"{path}?token={token}", data={"shown": "marketing@email=1"})
            assert answer.status == 400


@pytest.mark.parametrize(
    ("accepted", "own", "language"), [("de-DE,de;q=0.9", None, "de"), ("de", "zh-CN", "zh-Hans"), ("xx", None, "en")]
)
async def test_the_page_is_in_the_users_language(accepted: str, own: str | None, language: str) -> None:
    known = KNOWN if own is None else traits(NOW - DAY, email=ADDRESS, locale=own)
    async with shown(folded(known)) as client:
        html = await (await client.get(link(), headers={"Accept-Language": accepted})).text()
        assert f'<html lang="{language}">' in html
        (action,) = {one.replace("&amp;", "&") for one in re.findall(r'action="(/v1/unsubscribe[^"]*stop=all)"', html)}
        after = await (await client.get(action, headers={"Accept-Language": "fr"})).text()
        assert f'<html lang="{language}">' in after, "the pages after it are in the same language"
