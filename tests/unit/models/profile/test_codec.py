"""Bytes that an earlier commit stored under the current schema are read and written again without a change."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.profile.codec import SCHEMA, pack, unpack
from models.profile.ledger import Ledger
from models.profile.links import IdentityLink, ProfileIdentity
from models.profile.state import Customer, Facts

STORED: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("schema_5.json").read_text())
"""Users in the stored form and as plain msgpack, which the newest change of schema 5 before its release wrote."""
FULL = ["active with every field", "dormant with every field"]


def read_all_fields(customer: Customer) -> None:
    for part in (customer.facts, customer.ledger):
        for name in part.__struct_fields__:
            getattr(part, name)


@pytest.mark.parametrize("user", STORED)
def test_a_stored_user_is_encoded_to_the_same_bytes(user: str) -> None:
    stored = b64decode(STORED[user]["stored"])
    untouched, read = unpack(stored), unpack(stored)
    read_all_fields(read)
    read.compressed = None

    assert stored[0] == SCHEMA
    assert pack(untouched) == stored
    assert pack(read) == stored


@pytest.mark.parametrize("user", STORED)
def test_a_stored_user_has_the_same_facts_and_ledger_and_links(user: str) -> None:
    customer = unpack(b64decode(STORED[user]["stored"]))
    links = [] if customer.identity is None else [customer.identity]

    assert msgspec.msgpack.encode([customer.facts, customer.ledger, *links]) == b64decode(STORED[user]["plain"])


def test_the_stored_users_cover_both_forms_and_every_field() -> None:
    dormant = {user: unpack(b64decode(STORED[user]["stored"])).is_dormant for user in STORED}
    assert [dormant[user] for user in FULL] == [False, True]
    assert any(dormant[user] for user in STORED if user.startswith("shopper"))

    for user in FULL:
        customer = unpack(b64decode(STORED[user]["stored"]))
        for part, empty in ((customer.facts, Facts()), (customer.ledger, Ledger())):
            assert _defaults(part, empty) == []
        identity = customer.identity
        assert identity is not None
        assert _defaults(identity, ProfileIdentity()) == []
        (link,) = identity.links.values()
        assert _defaults(link, IdentityLink(0, "")) == []
        window = customer.facts.window
        assert window is not None
        assert [name for name in window.__struct_fields__ if not getattr(window, name)] == []


def _defaults(part: Any, empty: Any) -> list[str]:
    return [name for name in part.__struct_fields__ if getattr(part, name) == getattr(empty, name)]
