"""If a provider answers 550 5.1.1 for many valid addresses, they are not suppressed."""

from __future__ import annotations

from models.delivery import bounce_guard
from models.delivery.bounce_guard import ALL, HOLD_MS, MIN_ATTEMPTS, MIN_TRIED, REMEMBERED_MS, WINDOW_MS, BounceGuard

NOW = 1_700_000_000_000
DOMAIN = "example.com"


def guard(hard: int, attempts: int = MIN_ATTEMPTS, now: int = NOW, domain: str = DOMAIN) -> BounceGuard:
    made = BounceGuard()
    note(made, hard, attempts, now, domain)
    return made


def note(made: BounceGuard, hard: int, attempts: int, now: int, domain: str = DOMAIN) -> None:
    for number in range(attempts):
        made.note(domain, hard=number < hard, now=now)


def test_six_bounces_of_a_hundred_are_a_storm_and_five_are_not() -> None:
    assert guard(hard=5).storms(NOW) == []
    assert guard(hard=6).storms(NOW) == [ALL, DOMAIN]


def test_fewer_than_a_hundred_attempts_show_no_storm() -> None:
    assert guard(hard=99, attempts=99).storms(NOW) == []


def test_attempts_count_for_ten_minutes() -> None:
    made = guard(hard=50, attempts=50)

    note(made, 0, 50, NOW + WINDOW_MS)

    assert made.storms(NOW + WINDOW_MS) == []
    assert guard(hard=50, attempts=50).storms(NOW) == []


def test_a_storm_holds_its_domain_and_also_all_marketing_if_all_attempts_together_are_a_storm() -> None:
    made = guard(hard=100)

    assert made.held_until(DOMAIN, "transactional", NOW) == NOW + HOLD_MS
    assert made.held_until("other.example", "marketing", NOW) == NOW + HOLD_MS
    assert made.held_until("other.example", "transactional", NOW) is None
    assert made.held_until(ALL, "transactional", NOW) is None  # the key of a channel whose addresses have no domain


def test_a_storm_of_one_domain_does_not_hold_the_others() -> None:
    made = BounceGuard()
    note(made, 0, 5_000, NOW, "other.example")
    note(made, 100, 100, NOW)

    assert made.storms(NOW) == [DOMAIN]
    assert not made.may_write(DOMAIN, NOW)
    assert made.may_write("other.example", NOW)
    assert made.held_until("other.example", "marketing", NOW) is None


def test_after_a_hold_no_entry_is_written_until_a_few_attempts_have_shown_no_storm() -> None:
    made = guard(hard=100)
    later = NOW + HOLD_MS

    assert made.held_until(DOMAIN, "marketing", later) is None
    note(made, 1, MIN_TRIED - 1, later)
    assert not made.may_write(DOMAIN, later)
    note(made, 0, 1, later)
    assert made.may_write(DOMAIN, later)


def test_the_hold_begins_again_if_the_few_attempts_bounce_as_well() -> None:
    made = guard(hard=100)
    later = NOW + HOLD_MS

    note(made, 2, MIN_TRIED, later)

    assert made.held_until(DOMAIN, "marketing", later) == later + HOLD_MS


def test_answers_to_attempts_before_a_hold_do_not_end_it() -> None:
    made = guard(hard=100)

    note(made, 0, 1_000, NOW + 1)

    assert made.held_until(DOMAIN, "marketing", NOW + 2) == NOW + HOLD_MS


def test_a_storm_is_forgotten_if_no_message_was_sent_after_it() -> None:
    made = guard(hard=100)

    assert made.storms(NOW + HOLD_MS + REMEMBERED_MS - 1) != []
    assert made.storms(NOW + HOLD_MS + REMEMBERED_MS) == []


def test_memory_is_bounded_for_any_number_of_domains() -> None:
    made = BounceGuard()

    for number in range(bounce_guard.MAX_DOMAINS + 100):
        made.note(f"d{number}.example", hard=False, now=NOW)

    assert made.domains == bounce_guard.MAX_DOMAINS
