"""``perennial forecast``: which messages go out in the time ahead if no event comes."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from contextlib import aclosing
from typing import Annotated, Any

import typer

from models import durations
from models.counting import counted
from models.engage.decisions import Decision
from models.fold.moments import moment
from models.fold.user_sample import UserSample
from models.units import DAY, HOUR
from stream.cli.output import Config, Json, print_json, print_line, print_table, short_time
from stream.cli.plan import Sample
from stream.cli.progress import progress_bar
from stream.cluster.topics import require_topics
from stream.installation.recognition import opened
from stream.rebuild.trial import look_ahead
from stream.settings.loading import Settings

MAX_AHEAD = 7 * DAY
WIDTH = 40
"""Length of the longest bar, characters."""
LIMIT = (
    "Only timers and waiting messages are counted. Events that come meanwhile change it, and bring further messages."
)


class Outlook:
    """Numbers of messages in the time ahead.

    Parameters
    ----------
    scale
        Number of users that each user of the sample stands for.

    Attributes
    ----------
    begin
        Beginning of the time, milliseconds; 0 before the first partition.
    hours
        Messages by hour from the beginning, then by rule and channel.
    not_sent
        Messages that are dropped, by rule and reason.
    """

    def __init__(self, scale: float = 1.0) -> None:
        self.begin = 0
        self.hours: dict[int, Counter[tuple[str, str]]] = defaultdict(Counter)
        self.not_sent: Counter[tuple[str, str]] = Counter()
        self._scale = scale

    def __repr__(self) -> str:
        return f"Outlook(from {self.begin}, {self.total} messages)"

    @property
    def total(self) -> int:
        """Number of messages."""
        return sum(sum(hour.values()) for hour in self.hours.values())

    @property
    def rules(self) -> Counter[tuple[str, str]]:
        """Number of messages by rule and channel."""
        return sum(self.hours.values(), Counter())

    def add(self, begin: int, decisions: list[Decision]) -> None:
        """Add decisions of a partition whose time ahead has this beginning."""
        self.begin = max(self.begin, begin)
        for one in decisions:
            if one.outcome == "sent":
                self.hours[(one.at - begin) // HOUR][one.rule, one.channel] += 1
            elif one.outcome == "dropped":
                self.not_sent[one.rule, one.reason] += 1

    def scaled(self, number: int) -> int:
        """Return the number for all users."""
        return round(number * self._scale)


def forecast(
    config: Config = None,
    ahead: Annotated[str, typer.Option("--for", metavar="DURATION", help="Time ahead, at most 7d.")] = "24h",
    sample: Sample = 100.0,
    json: Json = False,
) -> None:
    """Show which messages go out in the next 24 hours, by hour, rule and channel.

    The users are read from the log's state, and the clock is moved forward in
    memory, minute by minute, as if no event came. Timers fire, waits end, and
    held messages are released, with the rules, caps and quiet hours in use.
    Nothing is written or sent, and the workers are not asked.

    All users are read, which takes a second for each 30,000 of them, or less with
    --sample 10.
    """
    try:
        duration = durations.milliseconds(ahead)
    except ValueError:
        duration = 0
    if not 0 < duration <= MAX_AHEAD:
        raise typer.BadParameter(f"--for: found {ahead!r}; allowed: {durations.ALLOWED}, at most 7d")
    settings = opened(config)
    require_topics(settings.connection(), settings.partitions)
    found = asyncio.run(_look(settings, duration, sample))
    hours = -(-duration // HOUR)
    if json:
        print_json(_described(found, hours, sample))
    else:
        _print(found, hours, sample)


async def _look(settings: Settings, duration: int, sample: float) -> Outlook:
    outlook, connection, users = Outlook(100 / sample), settings.connection(), UserSample(sample / 100)
    for partition in range(settings.partitions):
        with progress_bar(f"partition {partition + 1} of {settings.partitions}", duration // HOUR) as moved:
            async with aclosing(look_ahead(connection, partition, duration, users)) as minutes:
                async for begin, now, decisions in minutes:
                    outlook.add(begin, decisions)
                    moved((now - begin) // HOUR, now)
    return outlook


def _described(found: Outlook, hours: int, sample: float) -> dict[str, Any]:
    return {
        "begin": moment(found.begin),
        "sample_percent": sample,
        "messages": found.scaled(found.total),
        "hours": [
            {
                "from": moment(found.begin + hour * HOUR),
                "messages": found.scaled(sum(found.hours[hour].values())),
                "rules": [
                    {"rule": rule, "channel": channel, "messages": found.scaled(number)}
                    for (rule, channel), number in sorted(found.hours[hour].items())
                ],
            }
            for hour in range(hours)
        ],
        "not_sent": [
            {"rule": rule, "reason": reason, "messages": found.scaled(number)}
            for (rule, reason), number in sorted(found.not_sent.items())
        ],
        "limit": LIMIT,
    }


def _print(found: Outlook, hours: int, sample: float) -> None:
    if not found.begin:
        print_line("no partition has folded an event yet")
        return
    about = "" if sample == 100.0 else f", estimated from {sample:g}% of the users"
    print_line(f"{counted(found.scaled(found.total), 'message')} from {short_time(moment(found.begin))} UTC on{about}")
    if found.total:
        most = max(sum(hour.values()) for hour in found.hours.values())
        print_line()
        print_table(
            ("from", "messages", ""),
            [
                (
                    short_time(moment(found.begin + hour * HOUR)),
                    f"{found.scaled(number):,}" if number else "",
                    "█" * -(-number * WIDTH // most),
                )
                for hour in range(hours)
                for number in (sum(found.hours[hour].values()),)
            ],
        )
        print_line()
        print_table(
            ("rule", "channel", "messages"),
            [(rule, channel, f"{found.scaled(number):,}") for (rule, channel), number in found.rules.most_common()],
        )
    if found.not_sent:
        print_line()
        print_table(
            ("not sent", "because", "messages"),
            [(rule, reason, f"{found.scaled(number):,}") for (rule, reason), number in found.not_sent.most_common()],
        )
    print_line()
    print_line(LIMIT)
