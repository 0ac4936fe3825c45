"""``perennial plan``: which messages the settings file would change, on recorded events."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import typer

from models import durations
from models.configuration.compiled import Configuration, decode
from models.counting import counted
from models.engage.planned import KINDS, PlanChange, PlanDifference, Planned
from models.errors import PerennialError
from models.events import Event
from models.fold.moments import moment
from models.fold.user_sample import UserSample
from models.units import now_ms
from stream.cli.output import Config, Json, print_error, print_json, print_line, print_table, short_time
from stream.cli.progress import ShowProgress, progress_bar
from stream.cluster.topics import require_topics
from stream.feed.recording import CannotReplay, Recording, survey
from stream.feed.replaying import reads
from stream.installation.recognition import opened
from stream.log.versions import newest_use, read_uses
from stream.rebuild.trial import LogSpan, PlanComparison, try_log, try_recording
from stream.settings.loading import Settings, load
from stream.settings.rules import read_configuration, require_rendering

LIMIT = (
    "Later events are as recorded: what users did after a message is there, even if the message would not have been "
    "sent. So this shows decisions, not their effects."
)
HEADINGS = {
    "new": "new",
    "gone": "gone",
    "moved": "other time",
    "channel": "other channel",
    "text": "other text",
    "reason": "other reason",
}
"""Headings of the kinds of changes."""

Sample = Annotated[
    float, typer.Option("--sample", min=0.01, max=100, metavar="PERCENT", help="Look only at this share of the users.")
]
"""Option of the commands that fold users beside the running system."""


class NothingInUse(PerennialError):
    """The log has no configuration to compare with."""


class _Found(NamedTuple):
    difference: PlanDifference
    span: LogSpan
    against: str


class TrialProgress:
    """One progress bar over all partitions of a log."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._stack = ExitStack()
        self._moved: ShowProgress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def planned(self, partition: int, records: int) -> None:
        """Begin the bar of a partition with this number of records."""
        self._stack.close()
        name = f"partition {partition + 1} of {self._partitions}"
        self._moved = self._stack.enter_context(progress_bar(name, records))

    def folded(self, position: int, now: int) -> None:
        """Move the bar."""
        if self._moved is not None:
            self._moved(position, now)


def plan(
    config: Config = None,
    replay: Annotated[
        Path | None,
        typer.Option(
            metavar="LOG",
            help="Use these recorded events instead of the log: .jsonl, .jsonl.gz, or Online Retail as .csv, .csv.gz.",
        ),
    ] = None,
    last: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Compare decisions of this time before the end, such as 30d.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare with this settings file instead of the configuration in use."),
    ] = None,
    sample: Sample = 100.0,
    json: Json = False,
) -> None:
    """Show which messages change if the settings file is applied, before it is.

    The log is folded twice in memory, by the fold that production uses. First it is
    folded as if the present configuration had always been in use, and then with
    that of the settings file. Every message is compared: it may be new, gone, at
    another time, by another channel, or with another text. Nothing is written or
    sent.

    The log must have its beginning. By default, decisions of the last 30 days are
    compared. With --replay, all are, and no broker is needed if --against names
    the present settings. A recording has no models, so no churn risk triggers
    anything, and visitors who log in stay two users.
    """
    duration = None if last is None else _duration("--last", last)
    settings = opened(config) if replay is None or against is None else load(config)
    proposed = _configuration(settings)
    if against is not None:
        present, name = _configuration(load(against)), str(against)
    else:
        present, name = asyncio.run(_in_use(settings))
    wanted = PlanComparison(present, proposed, duration, UserSample(sample / 100))
    difference, span = _compared(settings, wanted, replay)
    if not span.until:
        raise CannotReplay(f"{replay or 'the log'} has no event that can be folded")
    found = _Found(difference, span, name)
    if json:
        print_json(_described(found, sample))
    else:
        _print(found, settings, sample)


def _compared(settings: Settings, wanted: PlanComparison, replay: Path | None) -> tuple[PlanDifference, LogSpan]:
    with TrialProgress(settings.partitions if replay is None else 1) as progress:
        if replay is None:
            require_topics(settings.connection(), settings.partitions)
            wanted = wanted._replace(last=wanted.last or durations.milliseconds("30d"))
            return asyncio.run(try_log(settings.connection(), settings.partitions, wanted, progress))
        recording = survey(replay)
        progress.planned(0, recording.lines)
        return try_recording(_events(recording), wanted, progress)


def _configuration(settings: Settings) -> Configuration:
    found = read_configuration(settings)
    require_rendering(settings, found)
    return found


async def _in_use(settings: Settings) -> tuple[Configuration, str]:
    require_topics(settings.connection(), settings.partitions)
    newest = newest_use(await read_uses(settings.connection()))
    if newest is None:
        raise NothingInUse(
            "the log has no configuration in use; compare with a settings file (--against FILE), or put one into use "
            "with `perennial apply`"
        )
    return decode(bytes(newest.content)), f"configuration version {newest.version}"


def _events(recording: Recording) -> Iterator[Event]:
    refused = 0
    for read in reads(recording, now_ms()):
        refused += read.rejected is not None
        if read.event is not None:
            yield read.event
    if refused:
        print_error(f"refused: {refused:,} of {counted(recording.lines, 'line')}; `perennial replay` shows them")


def _duration(option: str, written: str) -> int:
    try:
        return durations.milliseconds(written)
    except ValueError:
        raise typer.BadParameter(f"{option}: found {written!r}; allowed: {durations.ALLOWED}") from None


def _described(found: _Found, sample: float) -> dict[str, Any]:
    difference = found.difference
    return {
        "against": found.against,
        "since": moment(found.span.since),
        "until": moment(found.span.until),
        "sample_percent": sample,
        "totals": {kind: difference.totals[kind] for kind in KINDS},
        "gone_because": dict(difference.reasons.most_common()),
        "rules": [
            {
                "rule": rule,
                "sent_now": sent[0],
                "would_send": sent[1],
                **{kind: difference.changes[rule][kind] if rule in difference.changes else 0 for kind in KINDS},
            }
            for rule, sent in sorted(difference.sent.items())
        ],
        "examples": [_example(change) for change in difference.examples],
        "limit": LIMIT,
    }


def _example(change: PlanChange) -> dict[str, Any]:
    sides = {"present": change.present, "proposed": change.proposed}
    return {
        "kind": change.kind,
        **change.key._asdict(),
        **{
            side: None
            if one is None
            else {
                "outcome": one.outcome,
                "reason": one.reason or None,
                "detail": one.detail or None,
                "channel": one.channel,
                "at": moment(one.at),
            }
            for side, one in sides.items()
        },
    }


def _print(found: _Found, settings: Settings, sample: float) -> None:
    difference, span = found.difference, found.span
    since = f"from {short_time(moment(span.since))} " if span.since else ""
    share = "" if sample == 100.0 else f"; {sample:g}% of the users, and the numbers are of these"
    file, until = settings.file or "the settings", short_time(moment(span.until))
    print_line(f"{file} against {found.against}, {since}to {until} UTC{share}")
    print_line()
    rows = []
    for rule, sent in sorted(difference.sent.items()):
        changes = difference.changes.get(rule, Counter())
        rows.append(
            (rule, f"{sent[0]:,}", f"{sent[1]:,}", *(f"{changes[kind]:,}" if changes[kind] else "" for kind in KINDS))
        )
    if not rows:
        print_line("no rule or journey is triggered in this time, under either configuration")
        return
    print_table(("rule", "sends now", "would send", *HEADINGS.values()), rows)
    if not difference.totals:
        print_line()
        print_line("no message changes")
        return
    if difference.reasons:
        print_line()
        said = ", ".join(f"{reason} {count:,}" for reason, count in difference.reasons.most_common())
        print_line(f"gone because: {said}")
    print_line()
    print_table(
        ("change", "user", "rule", "now", "proposed"),
        [
            (HEADINGS[one.kind], one.key.user, one.key.rule, _said(one.present), _said(one.proposed))
            for one in difference.examples
        ],
    )
    print_line()
    print_line(LIMIT)


def _said(one: Planned | None) -> str:
    if one is None:
        return "-"
    reason = f" ({one.reason}{': ' + one.detail if one.detail else ''})" if one.reason else ""
    return f"{one.outcome} {short_time(moment(one.at))} {one.channel}{reason}"
