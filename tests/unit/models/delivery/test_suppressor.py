"""Answers and reports become entries of the suppression list, which stop later messages."""

from __future__ import annotations

import pytest

from models.batch import Output
from models.delivery.address_hashes import AddressHashes, SecretMissing
from models.delivery.bounce_guard import HOLD_MS, MIN_ATTEMPTS
from models.delivery.bounces import MIN_APART_MS
from models.delivery.deliveries import Result
from models.delivery.notices import AddressReport
from models.delivery.suppression import Reason, SuppressionEntry, decode_entry, encode_entry, key_of, parse_key
from models.delivery.suppression_list import SuppressionList
from models.delivery.suppressor import Suppressor
from models.events import ORIGINS, Origin
from tests.support.letters import NOW, letter

HASHES = AddressHashes([b"a-new-secret--16", b"an-old-secret-16"])
LETTER = letter()
TAKEN = Result("delivered")
HARD = Result("rejected", "550 5.1.1 <u0@example.com>: unknown", bounce="hard", code="550 5.1.1")
SECOND = Result("rejected", "550 5.2.1 disabled", bounce="second", code="550 5.2.1")
BLOCKED = Result("rejected", "550 5.7.1 blocked", bounce="sender", code="550 5.7.1")


def suppressor(untrusted: str = "") -> Suppressor:
    return Suppressor("email", SuppressionList(HASHES), lambda: untrusted)


def entries(outputs: list[Output]) -> list[SuppressionEntry]:
    return [decode_entry(output.value) for output in outputs if output.value is not None]


def report(kind: str, at: int = NOW, source: str = "api") -> AddressReport:
    return AddressReport(kind=kind, address=LETTER.to, user="u1", at=at, source=source)  # type: ignore[arg-type]


def test_a_hard_bounce_immediately_stops_every_later_message_to_the_address() -> None:
    made = suppressor()
    receipt = letter(9, to=LETTER.to, user="u9", category="transactional")

    written = made.after_attempt(LETTER, HARD, NOW)

    assert entries(written) == [
        SuppressionEntry(
            scope="all", reason="bounce", channel="email", source="answer 550 5.1.1", at=NOW, domain="example.com"
        )
    ]
    assert made.stops(receipt, NOW) == Result("suppressed", "bounce (all)", called=False)
    read = SuppressionList(HASHES)
    for entry in written:
        read.apply(entry.key, entry.value)
    assert read.stops("email", LETTER.to, "transactional")


@pytest.mark.parametrize(("reason", "is_stopped"), [("unsubscribe", False), ("complaint", True), ("manual", True)])
def test_an_e_mail_that_asks_for_a_confirmation_is_stopped_unless_its_answer_would_end_the_entry(
    reason: Reason, is_stopped: bool
) -> None:
    made = SuppressionList(HASHES)
    entry = SuppressionEntry(scope="marketing", reason=reason, channel="email", source="link", at=NOW)
    made.apply(key_of(HASHES.newest("email", LETTER.to), reason), encode_entry(entry))
    receipt = letter(9, to=LETTER.to, user="u9", category="transactional")
    asking = letter(10, to=LETTER.to, user="u10", category="transactional", confirms="marketing")

    assert Suppressor("email", made).stops(receipt, NOW) is None
    expected = Result("suppressed", f"{reason} (marketing)", called=False) if is_stopped else None
    assert Suppressor("email", made).stops(asking, NOW) == expected


def test_a_stop_is_in_force_although_the_start_before_it_has_a_later_time() -> None:
    """The clocks of the processes that receive START and STOP may differ. The message that comes last must count."""
    made = Suppressor("sms", SuppressionList(HASHES))
    made.refused("+4930901820", "stop", NOW - 10, "STOP by SMS")
    made.started("+4930901820", NOW + 60_000, "START by SMS")

    (entry,) = entries(made.refused("+4930901820", "stop", NOW, "STOP by SMS"))

    assert entry.at == NOW + 60_000
    receipt = letter(1, to="+4930901820", channel="sms", category="transactional")
    assert made.stops(receipt, NOW) == Result("suppressed", "stop (all)", called=False)


@pytest.mark.parametrize(
    "result", [TAKEN, BLOCKED, Result("rejected", "552 5.2.2 full", bounce="soft"), Result("unknown")]
)
def test_a_result_that_says_nothing_about_the_address_writes_nothing(result: Result) -> None:
    made = suppressor()

    assert made.after_attempt(LETTER, result, NOW) == []
    assert made.stops(LETTER, NOW) is None


@pytest.mark.parametrize("origin", ORIGINS)
def test_only_a_live_message_writes_to_the_list(origin: Origin) -> None:
    written = suppressor().after_attempt(letter(origin=origin), HARD, NOW)

    assert bool(written) == (origin == "live")


def test_a_disabled_mailbox_is_a_bounce_at_the_second_answer_a_day_later() -> None:
    made = suppressor()

    (first,) = entries(made.after_attempt(LETTER, SECOND, NOW))
    (soon,) = entries(made.after_attempt(LETTER, SECOND, NOW + MIN_APART_MS - 1))
    stops_before = made.stops(LETTER, NOW)
    (later,) = entries(made.after_attempt(LETTER, SECOND, NOW + MIN_APART_MS))

    assert (first.scope, first.reason, stops_before) == ("watch", "bounce_suspected", None)
    assert soon == first  # it is written again, because the transaction with the first entry may have failed
    assert (later.scope, later.reason) == ("all", "bounce")
    assert made.stops(LETTER, NOW + MIN_APART_MS) is not None


def test_a_message_that_is_accepted_in_between_removes_the_suspicion() -> None:
    made = suppressor()
    made.after_attempt(LETTER, SECOND, NOW)

    removed = made.after_attempt(LETTER, TAKEN, NOW + 1)
    again = entries(made.after_attempt(LETTER, SECOND, NOW + MIN_APART_MS))

    assert {parse_key(one.key).reason for one in removed} == {"bounce_suspected"}
    assert [one.value for one in removed] == [None, None]  # the entries of both secrets
    assert [one.reason for one in again] == ["bounce_suspected"]


def test_a_complaint_stops_marketing_but_not_receipts() -> None:
    made = suppressor()

    (entry,) = entries(made.after_report(report("complaint"), NOW))

    assert (entry.scope, entry.reason) == ("marketing", "complaint")
    assert made.stops(LETTER, NOW) == Result("suppressed", "complaint (marketing)", called=False)
    assert made.stops(letter(category="transactional"), NOW) is None


def test_a_confirmed_grant_ends_an_earlier_unsubscription_but_never_a_complaint() -> None:
    listed = SuppressionList(HASHES)
    entry = SuppressionEntry(scope="marketing", reason="unsubscribe", channel="email", at=NOW)
    listed.apply(key_of(HASHES.newest("email", LETTER.to), "unsubscribe"), encode_entry(entry))
    made = Suppressor("email", listed)

    assert made.after_report(report("confirmed_grant", NOW), NOW) != []
    assert made.stops(LETTER, NOW) is not None  # if both have the same time, the withdrawal counts
    made.after_report(report("confirmed_grant", NOW + 1), NOW + 1)
    assert made.stops(LETTER, NOW) is None
    made.after_report(report("complaint", NOW - 1), NOW + 2)
    made.after_report(report("confirmed_grant", NOW + 3), NOW + 3)
    assert made.stops(LETTER, NOW) == Result("suppressed", "complaint (marketing)", called=False)


def test_a_confirmed_grant_of_an_address_that_is_not_listed_writes_nothing() -> None:
    assert suppressor().after_report(report("confirmed_grant"), NOW) == []


def test_a_confirmed_grant_is_written_while_the_list_is_not_known() -> None:
    assert len(suppressor("not read").after_report(report("confirmed_grant"), NOW)) == 1


def test_a_report_from_the_future_gets_the_present_time_and_an_older_report_decreases_no_time() -> None:
    made = suppressor()

    (ahead,) = entries(made.after_report(report("complaint", NOW + 10**9), NOW))
    (older,) = entries(made.after_report(report("complaint", NOW - 5), NOW))

    assert ahead.at == older.at == NOW


def test_an_entry_contains_no_address() -> None:
    made = suppressor()

    written = made.after_report(report("hard_bounce", source="550 <u0@example.com> +49 30 901820"), NOW)
    written += made.after_attempt(LETTER, HARD, NOW)

    assert b"u0@" not in b"".join(one.key + (one.value or b"") for one in written)
    assert b"901820" not in b"".join(one.value or b"" for one in written)


def test_a_list_that_cannot_be_trusted_holds_every_message() -> None:
    result = suppressor("it is being read").stops(LETTER, NOW)

    assert result == Result("failed", "held: it is being read", retry_after=1.0, called=False)


def test_no_entry_is_written_in_a_bounce_storm_and_messages_to_the_domain_wait() -> None:
    made = suppressor()
    written = [len(made.after_attempt(letter(number), HARD, NOW)) for number in range(MIN_ATTEMPTS)]
    # These entries were written before the guard acted. An operator can remove them by time.
    assert sum(written) == MIN_ATTEMPTS - 1

    held = made.stops(letter(MIN_ATTEMPTS + 1, category="transactional"), NOW)

    assert made.after_attempt(letter(MIN_ATTEMPTS), HARD, NOW) == []
    assert held is not None
    assert (held.status, held.called) == ("failed", False)
    assert held.detail == "held: too many bounces of example.com"
    assert made.stops(letter(8, to="u@other.example", category="transactional"), NOW) is None
    assert made.stops(letter(MIN_ATTEMPTS + 1), NOW + HOLD_MS) is None


def test_many_bounces_of_one_bad_address_are_not_a_storm() -> None:
    made = suppressor()

    for number in range(5 * MIN_ATTEMPTS):
        made.after_attempt(letter(number, to=LETTER.to), HARD, NOW)

    assert made.storms(NOW) == []


def test_a_message_for_the_outbox_is_not_an_attempt() -> None:
    made = suppressor()
    for number in range(5 * MIN_ATTEMPTS):
        made.after_attempt(letter(number), Result("delivered", "outbox", called=False), NOW)

    for number in range(MIN_ATTEMPTS):
        made.after_attempt(letter(number), HARD, NOW)

    assert made.storms(NOW) == ["", "example.com"]


def test_a_report_without_the_secret_is_not_ignored() -> None:
    """The lane fails and tries again. Otherwise the complaint would be lost."""
    made = Suppressor("email", SuppressionList(AddressHashes([], missing="it is not there")))

    with pytest.raises(SecretMissing, match="it is not there"):
        made.after_report(report("complaint"), NOW)


def test_only_links_of_live_messages_contain_the_hash_of_the_address() -> None:
    made = suppressor()

    assert made.hash_of(LETTER) == HASHES.newest("email", LETTER.to)
    assert made.hash_of(letter(origin="simulate")) == ""


def test_devices_that_have_ended_are_suppressed_each_and_are_no_bounce_storm() -> None:
    """Many people remove an app without a word. If this were a storm, their devices could never leave the list."""
    made = suppressor()
    gone = Result("rejected", "404 UNREGISTERED", bounce="gone", code="404 UNREGISTERED")

    written = [made.after_attempt(letter(n), gone if n % 3 == 0 else TAKEN, NOW) for n in range(300)]

    assert [bool(one) for one in written] == [n % 3 == 0 for n in range(300)]
    assert made.storms(NOW) == []
    assert made.stops(letter(3), NOW) == Result("suppressed", "bounce (all)", called=False)
    assert made.stops(letter(4), NOW) is None
