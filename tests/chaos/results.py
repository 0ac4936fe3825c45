"""Results of rounds: one line of JSON for each, written when the round is over, and a page made from the lines."""

from __future__ import annotations

import os
import platform
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

from stream.processes import exits
from tests.chaos.faults import SABOTAGES
from tests.chaos.installing import EMBEDDED_PARTITIONS, PARTITIONS, SESSION_S
from tests.chaos.plan import Broker, Plan, kinds_on
from tests.chaos.playing import EMBEDDED_RATE, LESSONS_RATE, RATE, Played

INTRODUCTION = f"""\
Written by `python -m tests.chaos`; do not edit. Each round is one installation on a real Apache Kafka. It has 2 or 3
processes of the role `fold`, 1 or 2 of `deliver`, 1 or 2 of `learn`, and the HTTP door. It has {PARTITIONS} partitions
and sessions of {SESSION_S} s. The simulated shop sends {RATE} events a second, some of them twice, over HTTP and into
`events.in`. At the end, state and outputs are compared byte for byte with one undisturbed fold over the same log. A
real SMTP server has counted every message id. The suite writes {LESSONS_RATE} examples a second for each learner,
because the fold takes only one example of a user per week, and a round lasts for seconds. In every round, one learner
ends at a named point and one at a random moment. Their parameters and published versions are compared byte for byte
with undisturbed learners.

An e-mail counts as unknown if its last outcome is "unknown". It must have a reason: the process life that made the
attempt ended or was stalled after it, the broker was away, or the connection of this attempt was lost. No life may
leave more unknown e-mails than it makes calls at a time. Router and fold share a process. While this process is frozen,
the users of its partitions wait until its session has ended and another process has these partitions. Users of other
partitions are served meanwhile. All partitions of `events` stay open to readers, because no writer uses a transaction
there.

In every round, recipients click on unsubscribe links, and the mail server reports that some addresses no longer exist
(550 5.1.1). About ten shoppers share each address. No e-mail may be handed over for an address more than a second
after Kafka has acknowledged the address's entry in the suppression list. A process that was stopped in the middle of a
call may finish the call when it continues.
"""

EMBEDDED = f"""The same installation on the embedded broker (`--broker embedded`), with {EMBEDDED_PARTITIONS} partitions
and {EMBEDDED_RATE} events a second. Processes are killed and ended, at random and at named points. Outputs, state and
position are written one after the other there, so a crash between two writes repeats records, with the same bytes.
State, learners' parameters and the mail server's counts must still be exact. No process is stalled, because this broker
cannot fence a previous owner. The broker is not killed, because it loses everything when it ends.
"""


class RoundLine(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The stored result of one round.

    Attributes
    ----------
    seed, kind, plan
        Seed and kind of the round, and the text of its plan.
    broker
        Broker of the round.
    sabotage
        Promise that was broken on purpose; empty in a real round.
    at, revision
        Start of the round, and the commit of the repository.
    seconds, events, repeats, malformed
        Duration of the round, and the records that came in.
    messages, sent, unknown, failed
        Number of e-mails, and of their outcomes.
    lost, twice
        Number of events and effects that were lost or doubled; both must be 0.
    deeds, exits
        Number of times that each action was done, and the ends of processes.
    longest_silence_s
        Longest time without a commit in one partition under load, seconds.
    rest_s
        Time from the end of the load until nothing was pending, seconds.
    findings
        Descriptions of the broken promises.
    examples, versions, learners_ended
        Number of examples learned and versions published, and how often a learner was absent.
    repeated
        Number of records that were written again with the same bytes; only without transactions.
    corrected
        Number of e-mails that were unknown at first.
    suppressed, addresses
        E-mails that the suppression list stopped; addresses that were suppressed in the middle of the round.
    logins
        Number of visitors who have logged in.
    unmet
        Descriptions of the planned actions that did not happen.
    """

    seed: int
    kind: str
    plan: str
    at: str
    revision: str
    seconds: float
    events: int
    repeats: int
    malformed: int
    messages: int
    sent: int
    unknown: int
    failed: int
    lost: int
    twice: int
    deeds: dict[str, int]
    exits: dict[str, int]
    longest_silence_s: float
    findings: list[str]
    rest_s: float = 0.0
    sabotage: str = ""
    broker: str = "kafka"
    examples: int = 0
    versions: int = 0
    learners_ended: int = 0
    repeated: int = 0
    corrected: int = 0
    suppressed: int = 0
    addresses: int = 0
    logins: int = 0
    unmet: list[str] = msgspec.field(default_factory=list)

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Key of the round that the line belongs to; the newest line of a key counts."""
        return self.broker, self.sabotage, self.kind, self.seed


def line_of(plan: Plan, played: Played, *, sabotage: str, at: str) -> RoundLine:
    """Make the line of a round."""
    verdict = played.verdict
    return RoundLine(
        seed=plan.seed,
        kind=plan.kind,
        plan=str(plan),
        sabotage=sabotage,
        at=at,
        revision=revision(),
        seconds=round(played.seconds, 1),
        events=played.events,
        repeats=played.repeats,
        malformed=played.malformed,
        messages=verdict.messages,
        sent=verdict.sent,
        unknown=verdict.unknown,
        failed=verdict.failed,
        lost=verdict.lost,
        twice=verdict.twice,
        deeds=dict(sorted(played.deeds.items())),
        exits={str(code): count for code, count in sorted(played.exits.items())},
        longest_silence_s=round(played.longest_silence_s, 1),
        rest_s=round(played.rest_s, 1),
        findings=verdict.findings,
        broker=plan.broker,
        examples=verdict.examples,
        versions=verdict.versions,
        learners_ended=played.learners_ended,
        repeated=verdict.repeated,
        corrected=verdict.corrected,
        suppressed=verdict.suppressed,
        addresses=verdict.addresses,
        logins=verdict.logins,
        unmet=played.unmet,
    )


def append(file: Path, line: RoundLine) -> None:
    """Append a line to the file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as out:
        out.write(msgspec.json.encode(line) + b"\n")


def read(file: Path) -> list[RoundLine]:
    """Return the stored lines, the newest one of each round."""
    if not file.exists():
        return []
    decoder = msgspec.json.Decoder(RoundLine)
    lines = [decoder.decode(text) for text in file.read_bytes().splitlines() if text]
    return list({line.key: line for line in lines}.values())


def page(lines: Sequence[RoundLine], kafka: str) -> str:
    """Format the page of results."""
    rounds = sorted((line for line in lines if not line.sabotage), key=lambda line: line.seed)
    real = [line for line in rounds if line.broker == "kafka"]
    embedded = [line for line in rounds if line.broker == "embedded"]
    parts = [
        "# Chaos: what the suite has found\n",
        INTRODUCTION,
        _sums(real),
        _machine(kafka, real),
        "## Rounds by their main fault\n",
        _by_kind(real, "kafka"),
        "## Actions and faults\n",
        _deeds(real),
        _unmet(real),
        "## The suite can fail\n",
        "The same rounds with a promise broken on purpose (`--sabotage`); the suite must detect each broken promise.\n",
        _sabotages([line for line in lines if line.sabotage]),
        "## Seeds\n",
        "`python -m tests.chaos --rounds 1 --seed N` plays one again.\n",
        _seeds(real),
    ]
    if embedded:
        parts += [
            "## On the embedded broker\n",
            EMBEDDED,
            _embedded_sums(embedded),
            _by_kind(embedded, "embedded"),
            _deeds(embedded),
            "`python -m tests.chaos --broker embedded --rounds 1 --seed N` plays one again.\n",
            _seeds(embedded),
        ]
    return "\n".join(parts)


def _sums(real: Sequence[RoundLine]) -> str:
    faulty = [line for line in real if line.findings]
    deeds = _total(real)
    kills = _beginning(deeds, "kill")
    ends = _beginning(deeds, "terminate") + _beginning(deeds, "leave")
    stalls = _beginning(deeds, "stop@")
    stuck = sum(any("not at rest" in finding for finding in line.findings) for line in real)
    double = sum(any("sent twice" in finding for finding in line.findings) for line in real)
    rows: list[tuple[str, int | str]] = [
        ("rounds", len(real)),
        ("rounds with a finding", len(faulty)),
        ("events", sum(line.events for line in real)),
        ("events or effects lost", sum(line.lost for line in real)),
        ("effects twice", sum(line.twice for line in real)),
        ("rounds with a message sent twice", double),
        ("rounds with a partition stuck", stuck),
        ("e-mails decided", sum(line.messages for line in real)),
        ("e-mails unknown, each with its crash or lost connection", sum(line.unknown for line in real)),
        ("e-mails unknown at first, until a late answer came", sum(line.corrected for line in real)),
        ("addresses that unsubscribed or bounced in the middle", sum(line.addresses for line in real)),
        ("e-mails that the suppression list stopped", sum(line.suppressed for line in real)),
        ("visitors who logged in, each merged once", sum(line.logins for line in real)),
        ("rounds with an e-mail to a suppressed address", _to_suppressed(real)),
        ("`kill -9` of processes", kills),
        ("SIGTERM", ends),
        ("processes that ended by their own limit of 9 s after it", _exits(real, exits.SLOW_STOP)),
        ("stalls beyond the session", stalls),
        ("rebalances while a stopped process woke up", _beginning(deeds, "rebalance beside")),
        ("learners that ended or were stalled", sum(line.learners_ended for line in real)),
        ("examples learned; versions published", _pair(real)),
        ("rounds in which a learner's parameters differ", _wrong_learners(real)),
        ("`kill -9` of the broker", deeds["broker"]),
        ("broker stopped for 5 to 12 s", deeds["slow"]),
        ("full disks, 30 s each", deeds["disk"]),
        ("processes that left because another process owned their partitions", _exits(real, exits.NOT_OWNER)),
        ("planned, but did not happen", sum(len(line.unmet) for line in real)),
    ]
    return _table(rows)


def _embedded_sums(lines: Sequence[RoundLine]) -> str:
    deeds = _total(lines)
    return _table(
        [
            ("rounds", len(lines)),
            ("rounds with a finding", sum(bool(line.findings) for line in lines)),
            ("events", sum(line.events for line in lines)),
            ("events or effects lost", sum(line.lost for line in lines)),
            ("effects twice, except records repeated with the same bytes", sum(line.twice for line in lines)),
            ("records written again with the same bytes", sum(line.repeated for line in lines)),
            ("e-mails decided", sum(line.messages for line in lines)),
            ("e-mails unknown, each with its crash", sum(line.unknown for line in lines)),
            ("addresses that unsubscribed or bounced in the middle", sum(line.addresses for line in lines)),
            ("e-mails that the suppression list stopped", sum(line.suppressed for line in lines)),
            ("rounds with an e-mail to a suppressed address", _to_suppressed(lines)),
            ("`kill -9` of processes", _beginning(deeds, "kill")),
            ("SIGTERM", _beginning(deeds, "terminate") + _beginning(deeds, "leave")),
            ("learners that ended", sum(line.learners_ended for line in lines)),
            ("examples learned; versions published", _pair(lines)),
            ("rounds in which a learner's parameters differ", _wrong_learners(lines)),
        ]
    )


def _to_suppressed(lines: Sequence[RoundLine]) -> int:
    return sum(any("suppressed addresses" in finding for finding in line.findings) for line in lines)


def _exits(lines: Sequence[RoundLine], code: int) -> int:
    return sum(line.exits.get(str(code), 0) for line in lines)


def _beginning(deeds: Counter[str], begin: str) -> int:
    return sum(n for deed, n in deeds.items() if deed.startswith(begin))


def _unmet(lines: Sequence[RoundLine]) -> str:
    """List the planned faults that no process acted on: they prove nothing."""
    faults = [f"seed {line.seed}, {what}" for line in lines for what in line.unmet]
    return f"Planned, but did not happen: {'; '.join(faults) or 'nothing'}.\n"


def _pair(lines: Sequence[RoundLine]) -> str:
    return f"{sum(line.examples for line in lines):,}; {sum(line.versions for line in lines):,}"


def _wrong_learners(lines: Sequence[RoundLine]) -> int:
    return sum(any("uninterrupted" in finding for finding in line.findings) for line in lines)


def _table(rows: Sequence[tuple[str, int | str]]) -> str:
    said = (f"| {what} | {count if isinstance(count, str) else format(count, ',')} |" for what, count in rows)
    return "\n".join(["| | |", "|---|---:|", *said, ""])


def _machine(kafka: str, real: Sequence[RoundLine]) -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in ("aiokafka", "faust-streaming"))
    revisions = ", ".join(dict.fromkeys(line.revision for line in real)) or "none"
    minutes = sum(line.seconds for line in real) / 60
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}; {kafka}, Python "
        f"{platform.python_version()}, {packages}; revisions {revisions}; {minutes:.0f} minutes in all.\n"
    )


def _by_kind(real: Sequence[RoundLine], broker: Broker) -> str:
    rows = [
        "| kind | rounds | findings | events | e-mails | unknown | longest silence of a partition, s |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for kind in kinds_on(broker):
        some = [line for line in real if line.kind == kind]
        if some:
            found = sum(len(line.findings) for line in some)
            rows.append(
                f"| {kind} | {len(some)} | {found} | {sum(line.events for line in some):,} | "
                f"{sum(line.messages for line in some):,} | {sum(line.unknown for line in some):,} | "
                f"{max(line.longest_silence_s for line in some):.1f} |"
            )
    return "\n".join([*rows, ""])


def _deeds(real: Sequence[RoundLine]) -> str:
    total = _total(real)
    return "\n".join(
        ["| action | times |", "|---|---:|", *(f"| {deed} | {count} |" for deed, count in sorted(total.items())), ""]
    )


def _sabotages(broken: Sequence[RoundLine]) -> str:
    rows = ["| broken | rounds | found by seed | what was found |", "|---|---:|---|---|"]
    for sabotage in SABOTAGES:
        some = [line for line in broken if line.sabotage == sabotage]
        finders = [line for line in some if line.findings]
        worst = max(finders, key=lambda line: line.lost + line.twice, default=None)
        told = [finding for finding in worst.findings if "at rest" not in finding] if worst else []
        what = "; ".join(told[:3]).replace("|", "/")[:300]
        seeds = ", ".join(str(line.seed) for line in finders) or "none"
        if some:
            rows.append(f"| {sabotage} | {len(some)} | {seeds} | {what} |")
    return "\n".join([*rows, ""])


def _seeds(real: Sequence[RoundLine]) -> str:
    rows = ["| seed | kind | s | events | e-mails | unknown | found |", "|---:|---|---:|---:|---:|---:|---|"]
    rows += [
        f"| {line.seed} | {line.kind} | {line.seconds:.0f} | {line.events:,} | {line.messages:,} | {line.unknown} | "
        f"{'; '.join(line.findings).replace('|', '/') or 'nothing'} |"
        for line in real
    ]
    return "\n".join([*rows, ""])


def _total(lines: Iterable[RoundLine]) -> Counter[str]:
    total: Counter[str] = Counter()
    for line in lines:
        total.update(line.deeds)
    return total


def revision() -> str:
    """Return the short name of the repository's commit."""
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
