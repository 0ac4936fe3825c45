"""Entries, their keys, their effects and their ends."""

from __future__ import annotations

import itertools

import pytest

from models.delivery.address_hashes import AddressHashes
from models.delivery.suppression import (
    ENDED_BY,
    REASONS,
    SCOPE_OF,
    STOPPING,
    Reason,
    Scope,
    SuppressionEntry,
    encode_entry,
    given_up,
    key_of,
    parse_key,
)
from models.delivery.suppression_list import SuppressionList
from models.delivery.suppression_rules import Suppression

OLD, NEW = b"an-old-secret-16", b"a-new-secret--16"
HASHES = AddressHashes([NEW, OLD])
ADA = "ada@example.com"


def entry(reason: Reason, at: int, scope: Scope | None = None) -> bytes:
    made = SuppressionEntry(scope=scope or SCOPE_OF[reason], reason=reason, channel="email", at=at)
    return encode_entry(made)


def listed(*entries: tuple[Reason, int], hashes: AddressHashes = HASHES) -> SuppressionList:
    made = SuppressionList(HASHES)
    for reason, at in entries:
        made.apply(key_of(hashes.newest("email", ADA), reason), entry(reason, at))
    return made


@pytest.mark.parametrize("reason", STOPPING)
def test_an_entry_stops_the_messages_of_its_scope_on_its_channel_only(reason: Reason) -> None:
    made = listed((reason, 5))

    assert made.stops("email", ADA, "marketing") == Suppression(reason, SCOPE_OF[reason], 5)
    assert (made.stops("email", ADA, "transactional") is not None) == (SCOPE_OF[reason] == "all")
    assert made.stops("email", "eve@example.com", "marketing") is None
    assert made.stops("sms", ADA, "marketing") is None


@pytest.mark.parametrize("reason", sorted(set(REASONS) - set(STOPPING)))
def test_an_entry_that_only_records_a_time_stops_nothing(reason: Reason) -> None:
    assert listed((reason, 5)).stops("email", ADA, "marketing") is None


@pytest.mark.parametrize("written", ["ADA@EXAMPLE.COM", " ada@example.com ", "Ada@Example.Com"])
def test_upper_and_lower_case_give_the_same_address(written: str) -> None:
    assert listed(("unsubscribe", 5)).stops("email", written, "marketing") is not None


@pytest.mark.parametrize(("reason", "end"), [*itertools.product(STOPPING, ["confirmed", "start", "delivered"])])
def test_only_a_later_entry_of_the_right_reason_ends_a_reason(reason: Reason, end: Reason) -> None:
    ends = ENDED_BY.get(reason) == end

    assert (listed((reason, 5), (end, 6)).stops("email", ADA, "marketing") is None) == ends
    assert listed((reason, 5), (end, 5)).stops("email", ADA, "marketing") is not None
    assert listed((reason, 5), (end, 4)).stops("email", ADA, "marketing") is not None


def test_the_order_in_which_a_reason_and_its_end_are_read_does_not_matter() -> None:
    forward, backward = listed(("unsubscribe", 5), ("confirmed", 6)), listed(("confirmed", 6), ("unsubscribe", 5))

    assert forward.marks("email", ADA) == backward.marks("email", ADA)
    assert forward.stops("email", ADA, "marketing") is backward.stops("email", ADA, "marketing") is None


def test_the_end_of_one_reason_leaves_the_other_reasons_in_force() -> None:
    made = listed(("unsubscribe", 5), ("complaint", 4), ("confirmed", 9))

    assert made.stops("email", ADA, "marketing") == Suppression("complaint", "marketing", 4)


def test_an_entry_of_an_older_secret_is_found_after_the_secret_was_replaced() -> None:
    made = listed(("bounce", 5), hashes=AddressHashes([OLD]))

    assert made.stops("email", ADA, "transactional") == Suppression("bounce", "all", 5)
    assert HASHES.newest("email", ADA) == AddressHashes([NEW]).newest("email", ADA)


def test_the_later_time_counts_if_two_secrets_have_an_entry() -> None:
    made = listed(("unsubscribe", 7), hashes=AddressHashes([OLD]))
    for reason, at in (("unsubscribe", 3), ("confirmed", 5)):
        made.apply(key_of(HASHES.newest("email", ADA), reason), entry(reason, at))  # type: ignore[arg-type]

    assert made.stops("email", ADA, "marketing") == Suppression("unsubscribe", "marketing", 7)


def test_a_removed_entry_is_gone_and_the_others_stay() -> None:
    made = listed(("unsubscribe", 5), ("manual", 6))

    made.apply(key_of(HASHES.newest("email", ADA), "manual"), None)

    assert made.stops("email", ADA, "marketing") == Suppression("unsubscribe", "marketing", 5)
    assert len(made) == 1


def test_entries_of_a_secret_that_is_missing_are_counted_until_they_are_removed() -> None:
    stranger = AddressHashes([b"nobody-knows--16"])
    made = listed(("bounce", 5), ("manual", 5), hashes=stranger)

    assert made.unknown == {next(iter(stranger.ids)): 2}
    for reason in ("bounce", "manual", "manual"):
        made.apply(key_of(stranger.newest("email", ADA), reason), None)
    assert not made.unknown


def test_a_click_on_an_old_link_brings_no_lost_secret_back() -> None:
    """Unsubscribe links never expire. A new entry under a secret that was given up must not hold all messages again."""
    stranger = AddressHashes([b"nobody-knows--16"])
    (secret,) = stranger.ids
    made = listed()
    made.apply(*given_up(secret))
    made.apply(key_of(stranger.newest("email", ADA), "unsubscribe"), entry("unsubscribe", 5))
    assert not made.unknown

    made.apply(given_up(secret)[0], None)
    assert made.unknown == {secret: 1}


def test_a_secret_that_was_given_up_and_is_found_again_stops_messages() -> None:
    made = listed(("unsubscribe", 5))
    made.apply(*given_up(HASHES.newest_id))

    assert made.stops("email", ADA, "marketing") == Suppression("unsubscribe", "marketing", 5)
    assert (len(made), made.unknown) == (1, {})


def test_a_reason_that_only_a_newer_release_knows_stops_the_messages_of_its_scope() -> None:
    made = SuppressionList(HASHES)
    key = f"{HASHES.newest('email', ADA)}:of_tomorrow".encode()

    made.apply(key, encode_entry(SuppressionEntry(scope="marketing", reason="of_tomorrow", channel="email", at=5)))

    assert made.stops("email", ADA, "marketing") == Suppression("of_tomorrow", "marketing", 5)
    assert made.stops("email", ADA, "transactional") is None


@pytest.mark.parametrize(
    "key",
    [b"", b"a:b", b"0a1b2c3d:zz:bounce", b"0a1b2c3d:" + b"ab" * 31 + b":bounce", b"0a1b2c3d:" + b"ab" * 32 + b":"],
)
def test_an_invalid_key_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the reader of the list logs the offset and the mistake
        parse_key(key)


@pytest.mark.parametrize("secrets", [[], [b"short"], [NEW, b"short"]])
def test_a_weak_secret_is_refused(secrets: list[bytes]) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        AddressHashes(secrets)
