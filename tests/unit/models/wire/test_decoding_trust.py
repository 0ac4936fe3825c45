"""Statements that a record with a browser key may make, and test events."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.wire_records import identify, native, refused, track, warned


class TestARecordWithAPublicKey:
    """A record that came with a key from a web page."""

    def test_a_grant_is_accepted_with_a_warning_and_marked(self) -> None:
        event, (warning,) = warned(track("Consent Given", channel="email", confirmed=True), trust="public")

        assert (event.trust, event.confirmed) == ("public", False)
        assert warning.reason == "needs_server_key"

    def test_a_complaint_is_only_a_withdrawal(self) -> None:
        event, _ = warned(track("Email Marked as Spam"), trust="public")

        assert (event.granted, event.complaint) == (False, False)

    @pytest.mark.parametrize("origin", ["test", "live", "replay", "mars"])
    def test_the_record_cannot_state_an_origin(self, origin: str) -> None:
        assert refused(native("click", item="a", origin=origin), trust="public").reason == "bad_origin"

    def test_the_door_cannot_state_an_origin_for_the_record(self) -> None:
        assert refused(native("click", item="a"), trust="public", origin="test").reason == "bad_origin"

    def test_the_record_cannot_report_a_bounce(self) -> None:
        assert refused(track("Email Bounced", hard=True), trust="public").reason == "needs_server_key"

    def test_the_record_withdraws_for_the_user_that_it_names(self) -> None:
        event, _ = warned(track("Unsubscribed"), trust="public")

        assert (event.user, event.granted, event.trust) == ("u1", False, "public")


@pytest.mark.parametrize(
    ("raw", "user"),
    [
        (native("click", item="a", origin="test"), "test:u1"),
        ({"type": "page", "userId": "u1"}, "test:u1"),
        ({"type": "page", "anonymousId": "x"}, "test:anonymous:x"),
        ({"type": "page", "userId": "test:u1"}, "test:u1"),
    ],
)
def test_a_test_event_belongs_to_a_separate_user(raw: dict[str, Any], user: str) -> None:
    event, _ = warned(raw, origin="test")

    assert (event.user, event.origin) == (user, "test")
    assert event.identified == ("anonymous" not in user)


def test_the_withdrawal_in_a_refused_test_event_belongs_to_the_separate_user() -> None:
    withdrawal = refused(identify() | {"timestamp": "soon", "traits": {"unsubscribed": True}}, origin="test").withdrawal

    assert withdrawal is not None
    assert (withdrawal.user, withdrawal.origin) == ("test:u1", "test")
