"""Properties of the planner that hold for every sequence of signals, statements and times."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from models.configuration.compiled import Cap, QuietHours
from models.delivery.messages import encode_message
from models.engage.caps import MIN_KEPT
from models.engage.decisions import encode_decision
from models.engage.planner import Planner
from models.engage.quiet_hours import is_quiet
from models.engage.recipient import Recipient
from models.events import Channel
from models.places import zones
from models.profile.codec import pack
from models.profile.state import Consent
from models.units import DAY, HOUR, MINUTE
from tests.support.people import NOW, berlin_ms, configuration, customer, plan, release, rule, signal

moments = st.lists(st.integers(min_value=0, max_value=12 * 60), min_size=1, max_size=60)
consents = st.lists(st.sampled_from(["email", "sms", "none", "both"]), min_size=60, max_size=60)
all_caps = st.lists(
    st.builds(
        Cap,
        messages=st.integers(min_value=0, max_value=4),
        within=st.integers(min_value=1, max_value=60).map(lambda hours: hours * HOUR),
        channel=st.sampled_from([None, "email", "sms"]),
    ),
    max_size=3,
).map(tuple)
nights = st.none() | st.builds(
    QuietHours,
    start=st.integers(min_value=0, max_value=719),
    end=st.integers(min_value=720, max_value=1439),
)
some_zones = st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"])
starts = st.sampled_from(["2024-03-30T12:00", "2024-10-26T12:00", "2011-12-29T12:00", "2023-09-30T12:00"])


def _given(said: str) -> tuple[Channel, ...]:
    both: tuple[Channel, ...] = ("email", "sms")
    return both if said == "both" else tuple(channel for channel in both if channel == said)


@given(gaps=moments, said=consents, caps=all_caps, quiet=nights, zone=some_zones, start=starts)
@settings(max_examples=150, deadline=None)
def test_caps_consent_and_quiet_hours_are_never_violated(
    gaps: list[int], said: list[str], caps: tuple[Cap, ...], quiet: QuietHours | None, zone: str, start: str
) -> None:
    using = configuration(rule("a", expires_after=3 * DAY), rule("b", cooldown=HOUR), caps=caps, quiet=quiet)
    who, where = customer(timezone=zone), zones.zone(zone)
    now = berlin_ms(start)
    sent: list[tuple[int, str]] = []
    for i, (gap, agreed) in enumerate(zip(gaps, said, strict=False)):
        now += gap * MINUTE
        who.facts.consent = {channel: Consent(granted=True, at=now) for channel in _given(agreed)}
        planner, recipient = Planner(using, 1), Recipient("u1", who, now)
        decisions = list(planner.release(recipient))
        decisions += [planner.plan(one, signal(now, f"m{i}", one.name), recipient) for one in using.rules]
        for decision in decisions:
            if decision.message is None:
                continue
            sent.append((now, decision.channel))
            assert decision.channel in _given(agreed)
            assert quiet is None or not is_quiet(quiet, where, now)
            assert quiet is None or not is_quiet(quiet, where, decision.message.expires - 1)

    for cap in caps:
        counted = [at for at, channel in sent if cap.channel in (None, channel)]
        for end in counted:
            assert sum(1 for at in counted if end - cap.within < at <= end) <= cap.messages
    assert len(who.ledger.sent) <= max(MIN_KEPT, len(sent))
    assert len(who.ledger.pending) <= len(using.rules)


@given(gaps=moments, quiet=nights)
@settings(max_examples=50, deadline=None)
def test_the_same_inputs_give_the_same_ids_and_the_same_bytes(gaps: list[int], quiet: QuietHours | None) -> None:
    def run() -> list[bytes]:
        using, who, now = configuration(rule(), caps=(Cap(2, DAY),), quiet=quiet), customer(), NOW
        written: list[bytes] = []
        for i, gap in enumerate(gaps):
            now += gap * MINUTE
            for decision in (
                *release(using, who, now, 1),
                plan(using, who, now, cause=f"m{i}"),
            ):
                written.append(encode_decision(decision))
                if decision.message is not None:
                    written.append(encode_message(decision.message))
        return [*written, pack(who)]

    assert run() == run()
