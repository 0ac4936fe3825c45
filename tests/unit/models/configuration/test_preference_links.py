"""The e-mail with a new link to a user's choices."""

from __future__ import annotations

from itertools import chain

import pytest

from models.configuration.compiled import Configuration, decode, encode
from models.configuration.parsing import parse
from models.configuration.preference_links import BUILT_IN_LINK, LINK_REQUESTED
from models.configuration.templates import NEW_LINK, UNSUBSCRIBE_PLACEHOLDER, Template
from models.delivery.messages import Message, decode_message
from models.delivery.notices import is_notice
from models.errors import InvalidConfiguration
from models.log import Tick
from models.units import HOUR, MINUTE
from tests.support.event_logs import START
from tests.support.statement_logs import StatementLog, event, traits

KNOWN = traits(START, email="ada@example.org", firstName="Ada")


def mailed(*log: object) -> list[Message]:
    found = StatementLog(KNOWN, *log).records("messages.email")  # type: ignore[arg-type]
    return [decode_message(value) for value in found if not is_notice(value)]


def test_a_request_mails_the_link_to_the_address_on_record_once_an_hour() -> None:
    times = [START + at for at in (1, MINUTE, HOUR + 1, HOUR + MINUTE)]
    requests = [(Tick(at=at), event("custom", at, id=f"r{at}", name=LINK_REQUESTED)) for at in times]

    mails = mailed(*chain.from_iterable(requests))

    assert [(mail.to, mail.category, mail.rule) for mail in mails] == [
        ("ada@example.org", "transactional", NEW_LINK),
        ("ada@example.org", "transactional", NEW_LINK),
    ]
    assert UNSUBSCRIBE_PLACEHOLDER in mails[0].text


def test_a_request_with_a_browser_key_mails_nothing() -> None:
    assert mailed(event("custom", START + 1, name=LINK_REQUESTED, trust="public")) == []


def test_a_template_of_the_settings_replaces_the_text() -> None:
    text = "Here: {{ preferences_url }}"
    own = parse({}, {NEW_LINK: Template("Mine", text, fallback=f"Subject: Mine\n{text}")})

    assert decode(encode(own)).template(NEW_LINK) == own.templates[NEW_LINK]
    assert Configuration().template(NEW_LINK) == BUILT_IN_LINK
    assert encode(parse({}, {})) == encode(Configuration()), "the built-in text is not in the log"


@pytest.mark.parametrize("part", ["text", "html", "fallback"])
def test_a_template_without_the_link_is_refused(part: str) -> None:
    text = "{{ preferences_url }}"
    parts = {"text": text, "html": text, "fallback": f"Subject: Mine\n{text}"} | {part: "Subject: No\nlink"}

    with pytest.raises(InvalidConfiguration, match="preferences_url"):
        parse({}, {NEW_LINK: Template("Mine", **parts)})


def test_no_rule_may_have_the_name() -> None:
    template = Template("Subject", "{{ preferences_url }}", fallback="Subject: S\n{{ preferences_url }}")
    rule = {"name": NEW_LINK, "when": {"event": "A"}}

    with pytest.raises(InvalidConfiguration, match="another name"):
        parse({"rules": [rule]}, {NEW_LINK: template})
