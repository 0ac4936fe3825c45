"""The choices of a user, as the workers answer."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from models.delivery.address_hashes import AddressHashes
from models.delivery.suppression_list import SuppressionList
from stream.collector import consent_choices
from stream.collector.consent_choices import ConsentChoice, ConsentChoices
from stream.lookup.client import LookupFailed
from stream.lookup.owners import Owners

LISTED = SuppressionList(AddressHashes([b"0123456789abcdef"]))
NEWS = {"purpose": "marketing", "channel": "email", "granted": True, "waits": False, "can_ask": True}


class ScriptedOwners(Owners):
    """Workers that give prepared answers, or never answer."""

    def __init__(self, answers: dict[str, dict[str, Any] | None]) -> None:
        super().__init__([], 1)
        self._answers = answers

    async def ask(self, user: str, rest: str = "") -> bytes:
        if user not in self._answers:
            raise LookupFailed("there is no such user")
        found = self._answers[user]
        if found is None:
            await asyncio.Event().wait()
        return orjson.dumps(found)


def answer(**said: Any) -> dict[str, Any]:
    return {"owner": None, "language": None, "addresses": {}, "choices": []} | said


async def test_the_link_of_a_visitor_shows_the_choices_of_the_known_user() -> None:
    owners = ScriptedOwners({"anonymous:a1": answer(owner="u1"), "u1": answer(language="fr", choices=[NEWS])})

    found = await ConsentChoices(owners, LISTED).of("anonymous:a1", "email")

    assert found == ((ConsentChoice("marketing", "email", True, can_ask=True),), "fr")


async def test_only_channels_that_reach_the_user_are_shown_and_that_of_the_link() -> None:
    choices = [{**NEWS, "channel": channel, "granted": False} for channel in ("email", "sms")]
    owners = ScriptedOwners(
        {"u1": answer(choices=choices), "u2": answer(choices=choices, addresses={"sms": "+491511"})}
    )

    for user, link, shown in (("u1", "email", ["email"]), ("u1", "sms", ["sms"]), ("u2", "email", ["email", "sms"])):
        found = await ConsentChoices(owners, LISTED).of(user, link)  # type: ignore[arg-type]
        assert found is not None
        assert [one.channel for one in found.all] == shown


async def test_a_worker_that_does_not_answer_in_time_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consent_choices, "WITHIN_S", 0.02)

    assert await ConsentChoices(ScriptedOwners({"u1": None}), LISTED).of("u1", "email") is None


async def test_profiles_that_name_each_other_as_owner_end_the_search() -> None:
    owners = ScriptedOwners({"a": answer(owner="b"), "b": answer(owner="a", choices=[NEWS])})

    assert await ConsentChoices(owners, LISTED).of("a", "email") is not None


async def test_a_list_that_cannot_hash_hides_nothing() -> None:
    missing = SuppressionList(AddressHashes([], missing="a secret is not there"))
    owners = ScriptedOwners({"u1": answer(choices=[NEWS], addresses={"email": "ada@example.org"})})

    found = await ConsentChoices(owners, missing).of("u1", "email")

    assert found is not None
    assert found.all[0].granted
