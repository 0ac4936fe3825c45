"""What the demo shows: a live screen while it runs, and the summary at its end."""

from __future__ import annotations

from datetime import UTC, datetime

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stream.demo.summary import Summary
from stream.demo.tally import Tally

_DAY_MS = 86_400_000


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _day(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%a %d %b %Y")


def live(tally: Tally, *, stage: str, start: int, days: int, elapsed: float) -> RenderableType:
    """The screen while it runs."""
    done = max(0.0, (tally.now - start) / _DAY_MS) if tally.now else 0.0
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
    counts.add_row("shoppers", f"{len(tally.users):,}")
    counts.add_row("churn labels", f"{len(tally.examples):,}")
    counts.add_row("messages", f"{tally.sent:,}")
    counts.add_row("not sent", f"{sum(tally.withheld.values()):,}")
    for name, version in sorted(tally.versions.items()):
        counts.add_row(f"{name} in use", f"version {version}")
    rules = _table("rule", "channel", "messages")
    for (rule, channel), count in tally.messages.most_common(8):
        rules.add_row(rule, channel, f"{count:,}")
    columns = Table.grid(padding=(0, 4))
    columns.add_row(counts, rules)
    newest = Table.grid(padding=(0, 2))
    for message in reversed(tally.newest):
        newest.add_row(
            Text(message.user, style="cyan"), message.channel, message.subject or message.text[:60], message.why[:70]
        )
    return Panel(Group(head, columns, newest), title="perennial", border_style="green")


def closing(summary: Summary) -> RenderableType:
    """The summary."""
    churn, recommend, latency = summary.churn, summary.recommend, summary.latency_ms
    figures = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    figures.add_column(style="bold", no_wrap=True)
    figures.add_column()
    figures.add_row(
        "events", f"{summary.events:,} of {summary.shoppers:,} shoppers over {summary.simulated_days:.0f} simulated days; "
        f"{summary.events_per_second:,.0f} a second",
    )  # fmt: skip
    figures.add_row("segments", ", ".join(f"{name} {size:,}" for name, size in summary.segments.items()) or "none yet")
    figures.add_row(
        "churn", f"AUC {_three(churn.auc)} ({_three(churn.auc_low)} to {_three(churn.auc_high)}); "
        f"recency alone {_three(churn.recency_auc)}, the true probability {_three(churn.oracle_auc)}\n"
        f"ahead of recency by {_three(churn.ahead)} ({_three(churn.ahead_low)} to {_three(churn.ahead_high)}); "
        f"{churn.rows:,} examples after a warm-up of {churn.warm_up_days} days, {churn.churned:.0%} churned",
    )  # fmt: skip
    recall, popular = recommend.recall_at_10, recommend.popularity_recall_at_10
    times = f", {recall / popular:.1f} times as much" if recall is not None and popular else ""
    figures.add_row(
        "recommender", f"recall@10 of new items {_three(recall)}, popularity {_three(popular)}{times} "
        f"({recommend.users:,} shoppers, cut at {_day(recommend.cut)})",
    )  # fmt: skip
    sent = ", ".join(
        f"{rule} {count:,} by {channel}"
        for rule, channels in summary.messages.items()
        for channel, count in channels.items()
    )
    figures.add_row("messages", sent or "none")
    figures.add_row(
        "not sent", ", ".join(f"{reason} {count:,}" for reason, count in summary.not_sent.items()) or "none"
    )
    if latency is None:
        figures.add_row("latency", "not measured")
    else:
        figures.add_row(
            "latency", f"event acknowledged to message readable: median {latency.p50:.0f} ms, p99 {latency.p99:.0f} ms, "
            f"at {latency.rate:.0f} events/s open-loop ({latency.answered} of {latency.sent} answered)",
        )  # fmt: skip
    figures.add_row("took", f"{summary.seconds:.0f} s")
    go_on = Text("\n".join(["go on with", *(f"  {command}" for command in summary.commands)]))
    return Panel(Group(figures, go_on), title=f"perennial demo, seed {summary.seed}", border_style="green")


def _three(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
