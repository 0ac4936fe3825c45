"""Views of the demo: a live screen while it runs, and the summary at its end."""

from __future__ import annotations

from datetime import UTC, datetime

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from models.events import ANONYMOUS
from models.units import DAY
from stream.demo.journeys import JourneyFigures
from stream.demo.logins import LoginExample, LoginFigures
from stream.demo.summary import ChurnFigures, Latency, RecommendFigures, Summary
from stream.demo.tally import Tally

_USER = 14
"""Width of a user's id, columns."""
_MAX_JOURNEY = 18
"""Maximum width of a journey's name, columns."""
_RULES, _JOURNEYS, _NEWEST = 5, 5, 3
"""Number of lines about rules, journeys and messages; with more of them, the screen would not fit into 24 lines."""


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _day(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%a %d %b %Y")


def _minute(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%d %b %H:%M")


def live(tally: Tally, *, stage: str, start: int, days: int, elapsed: float) -> RenderableType:
    """Return the screen while the demo runs."""
    done = max(0.0, (tally.now - start) / DAY) if tally.now else 0.0
    head = Table.grid(expand=True, padding=(0, 1))
    head.add_column(no_wrap=True)
    head.add_column(ratio=1)
    head.add_column(no_wrap=True, justify="right")
    date = _day(tally.now) if tally.now else "-"
    head.add_row(
        Text(stage, style="bold"), ProgressBar(total=days, completed=min(done, days)), f"{date}  {elapsed:4.0f} s"
    )

    counts = _table("", "")
    counts.show_header = False
    counts.add_row("events", f"{tally.events:,}")
    counts.add_row("shoppers", f"{tally.shoppers:,}")
    counts.add_row("visitors now known", f"{len(tally.logins.owners):,}")
    counts.add_row("churn labels", f"{len(tally.examples):,}")
    counts.add_row("messages", f"{tally.sent:,}")
    counts.add_row("not sent", f"{sum(tally.withheld.values()):,}")
    rules = _table("rule or step", "channel", "messages")
    for (rule, channel), count in tally.messages.most_common(_RULES):
        rules.add_row(rule, channel, f"{count:,}")
    columns = Table.grid(padding=(0, 4))
    columns.add_row(counts, rules)
    in_use = ", ".join(f"{name} {version}" for name, version in sorted(tally.versions.items()))
    newest = Table.grid(padding=(0, 2), expand=True)
    newest.add_column(no_wrap=True, width=_USER, overflow="ellipsis")
    newest.add_column(no_wrap=True)
    newest.add_column(no_wrap=True, ratio=2, overflow="ellipsis")
    newest.add_column(no_wrap=True, ratio=3, overflow="ellipsis")
    for message in list(reversed(tally.newest))[:_NEWEST]:
        # each message gets one line, and its text is not markup
        said = " ".join((message.subject or message.text).split())
        because = message.why.partition("): ")[2] or message.why
        newest.add_row(Text(message.user, style="cyan"), Text(message.channel), Text(said), Text(because))
    versions = Text(f"versions in use: {in_use or '-'}", style="dim", no_wrap=True, overflow="ellipsis")
    return Panel(Group(head, columns, _journeys(tally), versions, newest), title="perennial", border_style="green")


def _journeys(tally: Tally) -> RenderableType:
    """Return a table of the journeys, one line each."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("journey", no_wrap=True, max_width=_MAX_JOURNEY, overflow="ellipsis")
    for column in ("entered", "waiting", "ended", "goal", "control group"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, one in list(tally.journeys.figures().items())[:_JOURNEYS]:
        ended = f"{sum(one.ended.values()):,}"
        shares = _share(one.messaged_goals, one.messaged), _share(one.control_goals, one.control)
        table.add_row(name, f"{one.entered:,}", f"{one.waiting:,}", ended, *shares)
    return table


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%} of {whole:,}" if whole else "-"


def closing(summary: Summary) -> RenderableType:
    """Return the summary."""
    figures = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    figures.add_column(style="bold", no_wrap=True)
    figures.add_column()
    figures.add_row(
        "events",
        f"{summary.events:,} of {summary.shoppers:,} shoppers over {summary.simulated_days:.0f} simulated days; "
        f"{summary.events_per_second:,.0f} a second",
    )
    figures.add_row("segments", _listed(summary.segments) or "none yet")
    figures.add_row("churn", _churn(summary.churn))
    figures.add_row("recommender", _recommender(summary.recommend))
    sent = {f"{rule} by {channel}": count for rule, by in summary.messages.items() for channel, count in by.items()}
    figures.add_row("messages", _listed(sent) or "none")
    figures.add_row("not sent", _listed(summary.not_sent) or "none")
    for number, (name, journey) in enumerate(summary.journeys.items()):
        figures.add_row("" if number else "journeys", _journey(name, journey))
    figures.add_row("logins", _logins(summary.logins))
    figures.add_row("latency", "not measured" if summary.latency_ms is None else _latency(summary.latency_ms))
    figures.add_row("took", f"{summary.seconds:.0f} s")
    return Panel(figures, title=f"perennial demo, seed {summary.seed}", border_style="green")


def _journey(name: str, one: JourneyFigures) -> str:
    """Return what has become of the runs of a journey, and what its messages add."""
    ended = f"; ended: {_listed(one.ended)}" if one.ended else ""
    goals = (
        f"goal: {_share(one.messaged_goals, one.messaged)} runs with messages, "
        f"{_share(one.control_goals, one.control)} in the control group"
    )
    if one.lift is not None and one.low is not None and one.high is not None:
        points = [f"{100 * value:+.1f}" for value in (one.lift, one.low, one.high)]
        goals += f": {points[0]} points ({points[1]} to {points[2]})"
    return f"{name}: {one.entered:,} entered, {one.waiting:,} waiting{ended}\n{goals}"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _churn(churn: ChurnFigures) -> str:
    return (
        f"AUC {_three(churn.auc)} ({_three(churn.auc_low)} to {_three(churn.auc_high)}); "
        f"recency alone {_three(churn.recency_auc)}, the true probability {_three(churn.oracle_auc)}\n"
        f"ahead of recency by {_three(churn.ahead)} ({_three(churn.ahead_low)} to {_three(churn.ahead_high)}); "
        f"{churn.rows:,} examples after a warm-up of {churn.warm_up_days} days, {churn.churned:.0%} churned; "
        f"{churn.before_first_version:.0%} of all were taken before any version existed"
    )


def _recommender(found: RecommendFigures) -> str:
    recall, popular = found.recall_at_10, found.popularity_recall_at_10
    if recall is None or popular is None:
        return "no model was graded in time"
    times = f", {recall / popular:.1f} times that" if popular else ", that"
    return (
        f"recall@10 of new items {_three(recall)}{times} of popularity, {_three(popular)} "
        f"({found.users:,} shoppers, cut at {_day(found.cut)})"
    )


def _logins(logins: LoginFigures) -> str:
    if not logins.known:
        return "none"
    text = (
        f"{logins.known:,} visitors logged in and became known users; the profiles of {logins.merged:,} were merged, "
        f"with {logins.merged_events:,} events"
    )
    if logins.forwarded:
        text += f"; {logins.forwarded:,} later events of such visitors went to their users"
    return text if logins.example is None else f"{text}\n{_example(logins.example)}"


def _example(example: LoginExample) -> str:
    visitor, items = example.visitor.removeprefix(ANONYMOUS), ", ".join(example.items[:3])
    more = f" and {len(example.items) - 3} more" if len(example.items) > 3 else ""
    return (
        f"for example, {visitor} filled a cart ({items}{more}) at {_minute(example.filled_at)}, logged in as "
        f"{example.user} at {_minute(example.login_at)}, and got {example.rule} by {example.channel} at "
        f"{_minute(example.reminded_at)}"
    )


def _latency(latency: Latency) -> str:
    return (
        f"event acknowledged to message readable: median {latency.p50:.0f} ms, p99 {latency.p99:.0f} ms, "
        f"at {latency.rate:.0f} events/s open-loop ({latency.answered} of {latency.sent} answered)"
    )


def _three(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
