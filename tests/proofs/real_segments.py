"""``python -m tests.proofs.real_segments``: proof that segments on real data have exactly the right members.

The segments are written as users write them, in ``tests/proofs/segments/``. Those on Online Retail are compared with an
evaluation in pandas, at three instants. Those on trivago are compared with a naive count, at three instants and in all
entries. Both are computed from the files themselves. One user who is missing, or too many, is a difference.
"""

from __future__ import annotations

import csv
import gzip
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, NamedTuple
from zlib import crc32

import typer

from models.events import Event
from tests.proofs.configurations import commit_name
from tests.support import retail_truths, trivago_counts
from tests.support.paths import ONLINE_RETAIL, TRIVAGO
from tests.support.real_streams import as_orders, retail_lines, trivago_actions
from tests.support.segment_folds import fold_segments
from tests.support.segment_runs import SegmentEntries, evaluate_segments, read_segments

SEGMENTS = Path(__file__).with_name("segments")
Through = Literal["evaluator", "fold"]
WAYS: dict[Through, Callable[..., SegmentEntries]] = {"evaluator": evaluate_segments, "fold": fold_segments}
"""Functions that return members and entries by the product."""
RESULTS: dict[Through, Path] = {
    "evaluator": Path(__file__).with_name("SEGMENTS.md"),
    "fold": Path(__file__).with_name("SEGMENTS_FOLD.md"),
}
ENTRIES = "all entries"
"""Text of the table instead of an instant."""


def instant(text: str) -> int:
    """Return the milliseconds of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


# At these minutes there are purchases, and there were others exactly 14, 30, 60 or 90 days before most of them.
RETAIL_INSTANTS = tuple(map(instant, ("2011-03-15T12:05", "2011-10-13T10:52", "2011-12-06T11:32")))
TRIVAGO_INSTANTS = tuple(map(instant, ("2018-11-07T12:00", "2018-11-08T18:00", "2018-11-08T23:59:42")))


class RealData(NamedTuple):
    """A file of real data, with segments and their independent evaluation.

    Attributes
    ----------
    name
        Name of the file of segments.
    path
        The data.
    user
        Returns the user of a row.
    events
        Reads the file as events.
    expected
        Computes members, and entries or none, from the file.
    instants
        The instants of the comparison, milliseconds.
    """

    name: str
    path: Path
    user: Callable[[Sequence[str]], str]
    events: Callable[[Path], Iterable[Event]]
    expected: Callable[[Path], SegmentEntries]
    instants: tuple[int, ...]


def _by_lines(path: Path) -> SegmentEntries:
    return _by_pandas(retail_truths.read_rows(path), retail_truths.LINE_TRUTHS)


def _by_orders(path: Path) -> SegmentEntries:
    rows = retail_truths.at_their_orders(retail_truths.read_rows(path))
    return _by_pandas(rows, retail_truths.ORDER_TRUTHS)


def _by_pandas(rows: retail_truths.Frame, truths: Mapping[str, retail_truths.Truth]) -> SegmentEntries:
    histories = [retail_truths.RetailHistory(rows, at) for at in RETAIL_INSTANTS]
    return SegmentEntries(
        {name: {history.now: truth(history) for history in histories} for name, truth in truths.items()}, {}
    )


def _by_count(path: Path) -> SegmentEntries:
    found = SegmentEntries({}, {})
    until = TRIVAGO_INSTANTS[-1]
    visitors = trivago_counts.read_actions(path)
    given_up: dict[str, list[trivago_counts.Period]] = {}
    for name, rule in trivago_counts.RULES.items():
        periods = {user: list(trivago_counts.periods_of(own, rule, until)) for user, own in visitors.items()}
        given_up = given_up or periods
        _note(found, name, periods)
    lost = {user: list(trivago_counts.lost_after(periods, until)) for user, periods in given_up.items()}
    _note(found, "lost for an hour", lost)
    return found


def _note(found: SegmentEntries, name: str, periods: dict[str, list[trivago_counts.Period]]) -> None:
    found.entered[name] = sorted((user, begin) for user, own in periods.items() for begin, _ in own)
    found.members[name] = {
        at: {user for user, own in periods.items() if any(a <= at and (b is None or at < b) for a, b in own)}
        for at in TRIVAGO_INSTANTS
    }


def _customer(row: Sequence[str]) -> str:
    return row[6] or row[0]


DATA = (
    RealData("online_retail", ONLINE_RETAIL, _customer, retail_lines, _by_lines, RETAIL_INSTANTS),
    RealData(
        "online_retail_orders",
        ONLINE_RETAIL,
        _customer,
        lambda path: as_orders(retail_lines(path)),
        _by_orders,
        RETAIL_INSTANTS,
    ),
    RealData("trivago", TRIVAGO, lambda row: row[0], trivago_actions, _by_count, TRIVAGO_INSTANTS),
)


class ComparedSegment(NamedTuple):
    """A row of the table: a segment at an instant.

    Attributes
    ----------
    data, segment, at
        What is compared.
    found, expected
        Number of members or of entries.
    only_found, only_expected
        Those that only one side has.
    """

    data: str
    segment: str
    at: str
    found: int
    expected: int
    only_found: list[object]
    only_expected: list[object]


def compare_data(data: RealData, path: Path, evaluate: Callable[..., SegmentEntries]) -> Iterator[ComparedSegment]:
    """Yield the comparison of each segment of the data, which are in a file."""
    rules = read_segments(SEGMENTS / f"{data.name}.yaml")
    found, expected = evaluate(rules, data.events(path), data.instants), data.expected(path)
    assert found.members.keys() == expected.members.keys()
    for name, members in expected.members.items():
        for at, users in members.items():
            shown = datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M")
            yield _compared(data.name, name, shown, found.members[name][at], users)
        if name in expected.entered:
            yield _compared(data.name, name, ENTRIES, found.entered[name], expected.entered[name])


def _compared(data: str, name: str, at: str, found: Iterable[object], expected: Iterable[object]) -> ComparedSegment:
    left, right = list(found), list(expected)
    # Two entries of a user at the same millisecond are equal, so the numbers are compared too.
    only_left, only_right = sorted(set(left) - set(right), key=str), sorted(set(right) - set(left), key=str)
    return ComparedSegment(data, name, at, len(left), len(right), only_left, only_right)


def is_equal(row: ComparedSegment) -> bool:
    """Return whether both sides are equal."""
    return row.found == row.expected and not row.only_found and not row.only_expected


def sample(data: RealData, share: int, folder: Path) -> Path:
    """Write the rows of one user in ``share`` to a file of the same form, and return its path."""
    path = folder / f"{data.name}.csv.gz"
    with (
        gzip.open(data.path, "rt", encoding="utf-8", newline="") as whole,
        gzip.open(path, "wt", encoding="utf-8", newline="", compresslevel=1) as part,
    ):
        rows, writer = csv.reader(whole), csv.writer(part)
        writer.writerow(next(rows))
        writer.writerows(row for row in rows if not crc32(data.user(row).encode()) % share)
    return path


def report(rows: Sequence[ComparedSegment], through: Through, commit: str) -> str:
    """Format the result as a page."""
    differences = sum(not is_equal(row) for row in rows)
    lines = [
        "# Segments on real data have exactly the right members",
        "",
        "The segments of `tests/proofs/segments/` on UCI Online Retail (each line of an invoice is an event; then each",
        "invoice is one), compared with an evaluation in pandas; and on trivago, compared with a naive count.",
        f"Written by `python -m tests.proofs.real_segments --through {through}`, commit {commit}:",
        f"{len(rows)} comparisons, {differences} with a difference.",
    ]
    for data in dict.fromkeys(row.data for row in rows):
        lines += [
            "",
            f"## {data}.yaml",
            "",
            "| segment | at | members | expected | difference |",
            "|---|---|--:|--:|--:|",
        ]
        lines += [
            f"| {row.segment} | {row.at} | {row.found:,} | {row.expected:,} "
            f"| {len(row.only_found) + len(row.only_expected)} |"
            for row in rows
            if row.data == data
        ]
    return "\n".join([*lines, ""])


def main(
    through: Annotated[Through, typer.Option(help="What is compared: the evaluator alone, or the whole fold.")] = (
        "evaluator"
    ),
    write: Annotated[bool, typer.Option(help="Write SEGMENTS.md, or SEGMENTS_FOLD.md for the fold.")] = True,
) -> None:
    """Compare all segments; the exit code is 1 if there is a difference."""
    rows: list[ComparedSegment] = []
    commit = commit_name()
    for data in DATA:
        begin = time.monotonic()
        for row in compare_data(data, data.path, WAYS[through]):
            rows.append(row)
            if not is_equal(row):
                sides = f"only in the product {row.only_found[:5]}, only expected {row.only_expected[:5]}"
                typer.echo(f"{row.data}: {row.segment} at {row.at}: {sides}")
        typer.echo(f"{data.name}: {time.monotonic() - begin:.0f} s", err=True)
    page = report(rows, through, commit)
    if write:
        RESULTS[through].write_text(page, encoding="utf-8")
    typer.echo(page)
    sys.exit(not all(map(is_equal, rows)))


if __name__ == "__main__":
    typer.run(main)
