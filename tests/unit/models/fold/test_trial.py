"""A trial decides what the fold decides, and a look ahead shows what the fold will decide without events."""

from __future__ import annotations

from itertools import repeat
from typing import Any

import msgspec
import pytest

from models.batch import Batch, Restored
from models.configuration.compiled import Configuration, decode, encode
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.engage.decisions import Decision
from models.events import Event
from models.fold.outlook import OutlookFold, decided
from models.fold.partition import PartitionFold
from models.fold.trial import TrialFold, recorded
from models.fold.user_sample import UserSample
from models.log import SPLIT_KEY, USE_KEY, Control, Tick, Use, decode_control, opening
from models.units import DAY, HOUR, MINUTE
from tests.support.event_logs import START, PartitionRecord, fold_log, written
from tests.support.random_logs import random_log


def _decisions(log: list[PartitionRecord], batch: int = 500) -> list[Decision]:
    return [one for outputs in fold_log(log, repeat(batch))[1] for one in decided(outputs)[0]]


def _configuration(log: list[PartitionRecord]) -> tuple[int, Configuration]:
    for place, record in enumerate(log):
        control = decode_control(record.value or b"") if record.key == USE_KEY else None
        if isinstance(control, Use) and control.name == "configuration":
            return place, decode(bytes(control.content))
    raise LookupError("the log has no configuration")


@pytest.mark.parametrize("seed", range(12))
def test_a_trial_with_the_configuration_of_the_log_decides_the_same(seed: int) -> None:
    log = random_log(seed, with_versions=False, with_segments=True, with_lifecycle=True, with_journeys=True)
    place, configuration = _configuration(log)
    # The configuration directly follows the clock, as the trial assumes.
    ordered = [log[0], log[place], *log[1:place], *log[place + 1 :]]
    log = [record._replace(offset=offset) for offset, record in enumerate(ordered)]
    expected = {(one.id, one.outcome, one.reason, one.at) for one in _decisions(log)}
    assert expected

    for batch in (1, 7, 500):
        trial = TrialFold(0, configuration)
        for begin in range(0, len(log), batch):
            trial.take(log[begin : begin + batch])
        newest = {(one.user, one.rule, one.signal.cause): one for one in _decisions(log)}
        assert {tuple(key): (one.outcome, one.reason, one.at) for key, one in trial.messages.items()} == {
            key: (one.outcome, one.reason, one.at) for key, one in newest.items()
        }


def _rules(*rules: dict[str, Any], text: str = "Hello", **more: Any) -> Configuration:
    templates = {rule["name"]: Template(subject="Hello", text=text + "{{ unsubscribe_url }}") for rule in rules}
    return parse({"rules": list(rules), "timezone": "UTC", **more}, templates)


CLICKED: dict[str, Any] = {"name": "clicked", "when": {"event": "click"}}


def _cart(after: str) -> dict[str, Any]:
    return {"name": "cart", "when": {"cart_left": {"for": after}}}


def _shopping() -> list[Event]:
    ada: dict[str, Any] = {"user": "ada"}
    return [
        Event(id="i", type="identify", at=START, traits={"email": "ada@example.org"}, **ada),
        Event(id="c", type="consent", at=START + 1, granted=True, channel="email", **ada),
        Event(id="a", type="cart_add", at=START + HOUR, item="mug", **ada),
        Event(id="v", type="click", at=START + 3 * DAY, item="mug", **ada),
    ]


def test_a_recording_shows_what_another_configuration_would_send() -> None:
    found = {}
    for after in ("1h", "2h"):
        trial = TrialFold(0, _rules(_cart(after)))
        trial.take(list(recorded(_shopping())))
        found[after] = [one.at - START for _, one in trial.messages.items() if one.outcome == "sent"]
    assert found == {"1h": [2 * HOUR], "2h": [3 * HOUR]}


def test_the_texts_of_messages_are_compared() -> None:
    digests = set()
    for text in ("Hello", "Hi", "Hi"):
        trial = TrialFold(0, _rules(CLICKED, text=text))
        trial.take(list(recorded(_shopping())))
        digests |= {one.digest for _, one in trial.messages.items()}
    assert len(digests) == 2


def test_configurations_splits_and_histories_of_the_log_are_left_out() -> None:
    other = _rules(CLICKED)
    log = random_log(3, with_versions=True, with_segments=True)
    log.append(PartitionRecord(len(log), log[-1].timestamp, SPLIT_KEY, b"{}"))
    trial = TrialFold(0, other)
    trial.take(log)
    assert {key.rule for key, _ in trial.messages.items()} == {"clicked"}


def test_a_sample_has_its_share_of_users_and_always_the_same_ones() -> None:
    keys = [f"user-{number}".encode() for number in range(10_000)]
    tenth, half = UserSample(0.1), UserSample(0.5)
    assert 800 < sum(map(tenth.has, keys)) < 1_200
    assert all(half.has(key) for key in keys if tenth.has(key))
    assert all(map(UserSample(1.0).has, keys))
    log = random_log(3, with_versions=False)
    _, configuration = _configuration(log)
    trial = TrialFold(0, configuration, UserSample(0.3))
    trial.take(log)
    users = {key.user for key, _ in trial.messages.items()}
    assert users
    assert all(UserSample(0.3).has(user.encode()) for user in users)


def _waiting() -> Restored:
    """Return a state in which one message waits for the end of quiet hours, and a cart is left for 1 h."""
    configuration = _rules(CLICKED, _cart("12h"), quiet_hours={"from": "20:00", "to": "08:00"})
    use = Use(name="configuration", version=1, content=msgspec.Raw(encode(configuration)))
    evening = START + 21 * HOUR
    events: list[Event | Control] = [
        *_shopping()[:2],
        Tick(at=evening),
        Event(id="k", user="ada", type="click", at=evening, item="mug"),
        Event(id="p", user="ada", type="cart_add", at=evening, item="mug"),
    ]
    contents: list[Event | Control] = [opening("feeder"), use, Tick(at=START), *events]
    return fold_log(written(contents), repeat(500))[0]


def test_a_look_ahead_shows_when_waiting_messages_and_timers_come() -> None:
    fold = OutlookFold(_waiting(), 0)
    sent = [
        (one.rule, one.at - START)
        for _, decisions in fold.run(fold.begin + DAY)
        for one in decisions
        if one.outcome == "sent"
    ]
    assert sent == [("clicked", 34 * HOUR), ("cart", 34 * HOUR)]  # an unknown zone has two quiet hours more


@pytest.mark.parametrize("seed", range(6))
def test_a_look_ahead_decides_what_the_fold_decides_if_no_event_comes(seed: int) -> None:
    log = random_log(seed, with_versions=True, with_segments=True, with_journeys=True)
    state, _ = fold_log(log, repeat(500))
    kept = Restored(memo=state.memo, position=state.position, records=dict(state.records))
    fold = OutlookFold(state, 0)
    shown = [one for _, decisions in fold.run(fold.begin + 2 * DAY) for one in decisions]

    later = PartitionFold(kept)
    begin = later.now
    ticks = [Tick(at=begin + minute * MINUTE) for minute in range(2 * DAY // MINUTE + 1)]
    records = [
        one._replace(offset=kept.position + one.offset, timestamp=tick.at)
        for one, tick in zip(written(ticks), ticks, strict=True)
    ]
    expected: list[Decision] = []
    for record in records:
        outputs = later.fold(Batch("events", 0, [record]))
        kept.apply(outputs.commit)
        expected += decided(outputs)[0]
    assert shown == expected
