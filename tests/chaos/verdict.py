"""Verdict of a round: the result compared with the expected result."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from models.batch import Restored
from models.delivery.address_hashes import AddressHashes
from models.delivery.deliveries import DeliveryRecord, decode_delivery
from models.delivery.notices import Answer, InFlight, decode_notice
from models.delivery.suppression import TOPIC, parse_key
from models.events import HandoverNote, decode_event
from models.log import Use, decode_control, is_control
from models.profile.codec import unpack
from models.rejected import decode_rejected
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.engine.state import restore
from tests.chaos.learners import PUPIL, QuietLearners
from tests.chaos.lives import Life
from tests.chaos.load import ShopLoad
from tests.chaos.logins import Logins
from tests.chaos.reference import Reference, committed
from tests.chaos.sink import Sink
from tests.chaos.suppressed import Leavers, Listing, handed_late
from tests.chaos.unknown import Troubles, open_attempt, unexplained

FOLDED = (
    "interactions", "signals", "decisions", "messages.email", "messages.sms", "examples.churn", "examples.segments",
)  # fmt: skip
"""Topics that only the fold writes."""
SHOWN = 5
_ENDS = ("message_sent", "message_failed", "message_unknown", "message_suppressed")


@dataclass
class Verdict:
    """Findings and counts of a round.

    Attributes
    ----------
    findings
        Descriptions of the broken promises; empty if every promise was kept.
    messages, sent, unknown, failed
        Number of messages decided on, and of their final outcomes.
    corrected
        Number of messages that were unknown at first, because the process that made the attempt reported late.
    lost, twice
        Events that were acknowledged but not folded; effects that came twice.
    repeated
        Records that were written again with the same bytes, as crashes on the embedded broker may cause.
    suppressed, addresses
        Messages that the suppression list stopped, and addresses that were suppressed in the middle of the round.
    examples, versions
        Number of examples learned, and of versions published.
    logins
        Number of visitors who have logged in.
    """

    findings: list[str] = field(default_factory=list)
    messages: int = 0
    sent: int = 0
    unknown: int = 0
    failed: int = 0
    corrected: int = 0
    lost: int = 0
    twice: int = 0
    repeated: int = 0
    suppressed: int = 0
    addresses: int = 0
    examples: int = 0
    versions: int = 0
    logins: int = 0

    def find(self, what: str, cases: Iterable[object]) -> int:
        """Record a finding if ``cases`` is not empty; return the number of cases."""
        found = list(cases)
        if found:
            shown = ", ".join(str(case) for case in found[:SHOWN])
            self.findings.append(f"{what}: {len(found)} ({shown}{', ...' if len(found) > SHOWN else ''})")
        return len(found)


async def judge(
    connection: Connection, partitions: int, reference: Reference, load: ShopLoad, sink: Sink, troubles: Troubles
) -> Verdict:
    """Compare everything, after all processes have ended and ``reference`` has caught up.

    Parameters
    ----------
    connection, partitions
        Connection of the installation, and its number of partitions.
    reference
        An undisturbed fold over the same log.
    load
        Load of the round, with everything that was acknowledged.
    sink
        Mail server of the round.
    troubles
        Incidents that can leave a message unknown.
    """
    verdict = Verdict()
    await _judge_state(verdict, connection, partitions, reference, load)
    await _judge_outputs(verdict, connection, partitions, reference, load)
    await _judge_messages(verdict, connection, partitions, reference, sink, troubles)
    return verdict


async def _judge_state(
    verdict: Verdict, connection: Connection, partitions: int, reference: Reference, load: ShopLoad
) -> None:
    verdict.lost += verdict.find(
        "acknowledged events that are not in the log", load.acknowledged.keys() - reference.ids.keys()
    )
    states = await asyncio.gather(*(restore(connection, "profiles", number) for number in range(partitions)))
    expected: dict[str, Counter[str]] = {}
    person = load.logins.person  # what a visitor did counts for the user, and for no other profile
    for event in load.acknowledged.values():
        expected.setdefault(person(event.user), Counter())[event.type] += 1
    for user, clicks in reference.clicks.items():
        if clicks:
            expected.setdefault(person(user), Counter())["consent"] += clicks
    counted = {
        key.decode(): Counter({kind: n for kind, n in unpack(packed).facts.events.items() if kind[:8] != "message_"})
        for state in states
        for key, packed in state.records.items()
        if not is_control(key)
    }
    none = Counter[str]()
    wrong = [user for user in expected | counted if expected.get(user, none) != counted.get(user, none)]
    verdict.logins = len(load.logins.owners)
    verdict.find("logins without a merge", _not_merged(states, load.logins))
    verdict.find("users with events that are missing, repeated or unexpected", wrong)
    for user in wrong:
        had, got = expected.get(user, Counter()), counted.get(user, Counter())
        verdict.lost += (had - got).total()
        verdict.twice += (got - had).total()
    for state, quiet in zip(states, reference.states, strict=True):
        place = f"partition {state.partition}"
        if state.position != quiet.position:
            verdict.findings.append(f"{place} stands at {state.position}, its log ends at {quiet.position}")
        if state.memo != quiet.memo:
            verdict.findings.append(
                f"{place}: its clock, counters or versions differ from those of an undisturbed fold"
            )
        keys = state.records.keys() | quiet.records.keys()
        verdict.find(
            f"{place}: users whose state differs from that of an undisturbed fold",
            sorted(key for key in keys if state.records.get(key) != quiet.records.get(key)),
        )


async def _judge_outputs(
    verdict: Verdict, connection: Connection, partitions: int, reference: Reference, load: ShopLoad
) -> None:
    names = sorted({*FOLDED, *reference.outputs} - {"events.rejected"})
    found = await asyncio.gather(
        *(committed(connection, name, topics.topic(name).partitions(partitions)) for name in names)
    )
    for name, records in zip(names, found, strict=True):
        # notices that delivery writes for the new owner of a partition, and its outcomes, are not outputs of a fold
        is_foreign = _is_outcome if name == "outcomes" else _is_from_delivery
        mine = [one for one in records if not (one.key.startswith(PUPIL) or is_foreign(one.value))]
        said = Counter((record.key, record.value) for record in mine)
        wanted = reference.outputs.get(name, Counter())
        too_many = said - wanted
        if not connection.transactions:
            repeats = [record for record in too_many if record in wanted]
            verdict.repeated += sum(too_many.pop(record) for record in repeats)
        verdict.twice += verdict.find(f"unexpected or repeated records of {name}", too_many.elements())
        verdict.lost += verdict.find(f"missing records of {name}", (wanted - said).elements())
    dead = [
        decode_rejected(record.value).value for record in await committed(connection, "events.rejected", partitions)
    ]
    verdict.find("dead letters of correct records", [value for value in set(dead) if value not in load.malformed])
    verdict.find("malformed records without a dead letter", load.malformed - set(dead))


async def _judge_messages(
    verdict: Verdict,
    connection: Connection,
    partitions: int,
    reference: Reference,
    sink: Sink,
    troubles: Troubles,
) -> None:
    ids = reference.messages
    verdict.find("message ids that were given twice", (message for message, n in Counter(ids).items() if n > 1))
    outcomes = {message: _ends_of(reference.outcomes.get(message, Counter())) for message in ids}
    unknown = {message for message, kinds in outcomes.items() if kinds == ("message_unknown",)}
    verdict.messages, verdict.unknown = len(ids), len(unknown)
    verdict.sent = sum("message_sent" in kinds for kinds in outcomes.values())
    verdict.failed = sum("message_failed" in kinds for kinds in outcomes.values())
    verdict.suppressed = sum("message_suppressed" in kinds for kinds in outcomes.values())
    verdict.corrected = sum(len(kinds) > 1 for kinds in outcomes.values())
    verdict.twice += verdict.find("e-mails sent twice", (message for message, n in sink.taken.items() if n > 1))
    verdict.find("e-mails that no fold decided on", sink.taken.keys() - set(ids))
    verdict.lost += verdict.find("messages without an outcome", (m for m, kinds in outcomes.items() if not kinds))
    verdict.find(
        "messages with outcomes that contradict each other",
        (m for m, kinds in outcomes.items() if not outcomes_agree(kinds, ordered=connection.transactions)),
    )
    verdict.find("messages that were not sent but are reported as sent", _not_taken(outcomes, "message_sent", sink))
    verdict.find(
        "messages that were sent but are reported as failed",
        (m for m, kinds in outcomes.items() if "message_failed" in kinds and m in sink.taken),
    )
    verdict.find(
        "messages that were sent but are reported as suppressed",
        (m for m, kinds in outcomes.items() if "message_suppressed" in kinds and m in sink.taken),
    )
    records = await committed(connection, "deliveries.email", partitions)
    changes: dict[str, list[DeliveryRecord]] = {}
    for record in records:
        if not is_control(record.key) and record.value is not None:
            changes.setdefault(record.key.decode(), []).append(decode_delivery(record.value))
    attempts = {message: open_attempt(message, changes.get(message, ())) for message in sorted(unknown - sink.dropped)}
    verdict.find("messages unknown without an attempt", (m for m, attempt in attempts.items() if attempt is None))
    verdict.find(
        "unknown messages that no crash, stall or lost connection explains",
        unexplained([attempt for attempt in attempts.values() if attempt is not None], troubles),
    )


async def judge_suppressions(
    verdict: Verdict, listing: Listing, leavers: Leavers, hashes: AddressHashes, lives: Iterable[Life]
) -> None:
    """Search for e-mails to addresses that were suppressed more than a second before, and for missing entries."""
    sink = leavers.sink
    verdict.addresses = len({*leavers.clicked, *sink.dead})
    delivering = [life for life in lives if life.role == "deliver"]
    verdict.find(
        "e-mails handed over for suppressed addresses",
        handed_late(sink.handed, listing.seen, leavers.clicked, hashes, delivering),
    )
    # The list itself is read, because a reader that follows it may be behind when the broker is slow.
    listed = {parse_key(entry.key).address for entry in await committed(listing.connection, TOPIC, 1)}
    for gone, how in ((leavers.clicked, "that have unsubscribed"), (sink.dead, "that were refused permanently")):
        missing = (address for address in gone if hashes.newest("email", address) not in listed)
        verdict.find(f"addresses {how} and are not on the list", missing)


async def judge_learners(
    verdict: Verdict, connection: Connection, reference: Reference, learners: QuietLearners
) -> None:
    """Compare each learner's parameters and published versions with those of an undisturbed learner."""
    written = [(r.key.decode(), decode_control(r.value)) for r in await committed(connection, "versions", 1)]
    for name, quiet in learners.models.items():
        ended = await restore(connection, f"learners.{name}", 0)
        if ended.position != quiet.position:
            verdict.findings.append(
                f"the learner of {name} stands at {ended.position}, its log ends at {quiet.position}"
            )
        elif ended.records != quiet.records:
            verdict.findings.append(f"the learner of {name} has other parameters than an undisturbed one")
        uses = [use for key, use in written if key == name and isinstance(use, Use)]
        told = [
            {use.version: bytes(use.content) for use in uses},
            *(each.get(name, {}) for each in reference.broadcasts),
        ]
        verdict.find(
            f"versions of {name} that an undisturbed learner does not have",
            sorted({number for each in told for number in each if each[number] != quiet.versions.get(number)}),
        )
        verdict.find(
            f"newest versions of {name} that differ from those of an undisturbed learner",
            [n for n in map(_newest, told) if n != quiet.newest],
        )
        twice = [number for number, n in Counter(use.version for use in uses).items() if n > 1]
        if connection.transactions:
            verdict.twice += verdict.find(f"versions of {name} written twice", twice)
        else:
            verdict.repeated += len(twice)
        verdict.examples += quiet.examples
        verdict.versions += len({*told[0]})


def _newest(versions: Mapping[int, bytes]) -> int:
    return max(versions, default=0)


def _ends_of(kinds: Mapping[str, int]) -> tuple[str, ...]:
    """Return the outcomes of a message, in the order in which they were first reported."""
    return tuple(kind for kind in kinds if kind in _ENDS)


def _is_from_delivery(value: bytes | None) -> bool:
    """Return whether a delivering process has written a record of ``messages.<channel>``."""
    return isinstance(decode_notice(value or b""), Answer | InFlight)


def _is_outcome(value: bytes | None) -> bool:
    """Return whether a record of ``outcomes`` is the outcome of a message, and not a record between two profiles."""
    identity = decode_event(value or b"").identity
    return identity is None or isinstance(identity, HandoverNote)


def _not_merged(states: Iterable[Restored], logins: Logins) -> list[str]:
    """Return the visitors who have logged in and whose profile does not say so, or whose user's profile does not."""
    profiles = {key.decode(): packed for state in states for key, packed in state.records.items()}
    wrong = []
    for visitor, user in logins.owners.items():
        own, known = (profiles.get(one) for one in (visitor, user))
        owner = None if own is None else unpack(own).identity
        links = None if known is None else unpack(known).identity
        is_owned = owner is not None and owner.owner is not None and owner.owner.user == user
        if not is_owned or links is None or visitor not in links.links or not links.links[visitor].merge:
            wrong.append(visitor)
    return wrong


def outcomes_agree(kinds: Sequence[str], *, ordered: bool) -> bool:
    """Return whether the outcomes agree: there is at most one, or there are two, "unknown" and then a late answer.

    Without transactions (not ``ordered``), "unknown" may also come second. A process may crash after it has written an
    outcome and before it writes the state. Then the next process writes "unknown".
    """
    if len(kinds) <= 1:
        return True
    return len(kinds) == 2 and (kinds[0] == "message_unknown" if ordered else "message_unknown" in kinds)


def _not_taken(outcomes: Mapping[str, Sequence[str]], kind: str, sink: Sink) -> list[str]:
    return [message for message, kinds in outcomes.items() if kind in kinds and message not in sink.taken]
