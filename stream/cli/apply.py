"""``perennial apply``: put the rules, caps, quiet hours and templates of the settings file into use."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Annotated, Literal, Self

import typer

from models.configuration.compiled import Configuration
from models.counting import counted
from models.fold.prospects import ConditionsPlan, ProspectiveCounts
from stream.cli.output import Config, Json, print_error, print_json, print_line, print_table
from stream.cli.progress import ShowProgress, progress_bar
from stream.cluster.topics import require_topics
from stream.installation.applying import ApplyOptions, apply_plan, read_plan, read_wanted
from stream.installation.journey_tests import require_tests
from stream.installation.recognition import opened
from stream.installation.segment_names import names_in_use, notes
from stream.log.versions import Applied


class _Shown:
    """The progress of reading the log, and the numbers that the command shows."""

    def __init__(self, plan: ConditionsPlan, *, is_plain: bool) -> None:
        self.counts = ProspectiveCounts(0, {}, {}, {})
        self._plan = plan
        self._is_plain = is_plain
        self._stack = ExitStack()
        self._moved: ShowProgress | None = None
        self._positions: dict[int, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def planned(self, records: int) -> None:
        self._moved = self._stack.enter_context(progress_bar("read the log", records))

    def folded(self, partition: int, position: int, now: int) -> None:
        self._positions[partition] = position
        if self._moved is not None:
            self._moved(sum(self._positions.values()), now)

    def counted(self, counts: ProspectiveCounts) -> None:
        self._stack.close()
        self._moved, self.counts = None, counts
        if self._is_plain:
            return
        if counts.members or self._plan.uncounted:
            rows = [(name, f"{number:,}", self._entering(name)) for name, number in sorted(counts.members.items())]
            rows += [(name, "not known: it reads marks", "-") for name in sorted(self._plan.uncounted)]
            print_table(("segment", "members", "enter with a signal"), rows)
        if counts.stages and self._plan.has_new_stages:
            print_table(("stage", "users"), [(name, f"{number:,}") for name, number in sorted(counts.stages.items())])
        print_line(f"of {counted(counts.users, 'user')}, when the configuration takes effect")

    def _entering(self, name: str) -> str:
        return f"{self.counts.entering[name]:,}" if name in self.counts.entering else "-"

    def brought(self, records: int) -> None:
        if not self._is_plain:
            print_line(f"the history of new conditions took {counted(records, 'record')}")


def apply(
    config: Config = None,
    clock: Annotated[
        Literal["wall", "feeder"],
        typer.Option(
            help="Clock of a log that is still empty: wall for live events, feeder for a replay or a simulation."
        ),
    ] = "wall",
    history: Annotated[
        Literal["log", "from-now"],
        typer.Option(
            help="What new conditions on events see: the whole log, which is read now, or events from now on."
        ),
    ] = "log",
    yes: Annotated[
        bool, typer.Option("--yes", help="Let users enter new segments with a signal where `on_apply: enter` says so.")
    ] = False,
    without_test: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Apply this new or changed journey without a test that passes; repeatable."),
    ] = None,
    json: Json = False,
) -> None:
    """Put the settings file's rules, templates, caps, quiet hours, consent names and churn definition into use.

    They take effect for all later events in the log. Earlier decisions do not
    change, and a replay of the log makes the same decisions.

    New segments by rule and moves of the lifecycle read the log first, and the
    command shows how many users are in each. These users become members
    silently, without messages. Until then the new conditions are unknown, and
    no one enters by mistake. If the numbers have changed by over 10% when the
    conditions take effect, the conditions stay unknown, and the command says so.

    With `on_apply: enter`, users who match a new segment enter it with a signal,
    and rules may send them messages. The command shows how many there are, and
    needs --yes.

    A new or changed journey needs a test that passes (`perennial journeys test`).
    --without-test waives it by name.
    """
    settings = opened(config)
    wanted, connection = read_wanted(settings), settings.connection()
    require_topics(connection, settings.partitions)
    plan = asyncio.run(read_plan(connection, wanted))
    require_tests(settings, wanted, plan.known, without_test or ())
    with _Shown(plan, is_plain=json) as shown:
        options = ApplyOptions(clock, history == "log", yes)
        applied = asyncio.run(apply_plan(settings, plan, options, shown))
    _show(applied, wanted, shown.counts, list(notes(wanted, asyncio.run(names_in_use(connection)))), json=json)


def _show(
    applied: Applied, wanted: Configuration, counts: ProspectiveCounts, worth_knowing: list[str], *, json: bool
) -> None:
    """Print what was applied."""
    names = [rule.name for rule in wanted.rules]
    if json:
        said = {"version": applied.version, "changed": applied.changed, "rules": names, "notes": worth_knowing}
        numbers = {"users": counts.users, "members": dict(counts.members), "entering": dict(counts.entering)}
        print_json({**said, **numbers, "stages": dict(counts.stages)})
        return
    rules = ", ".join(names) or "none"
    if applied.changed:
        print_line(f"configuration version {applied.version} is in use from now on; rules: {rules}")
    else:
        print_line(f"nothing has changed: configuration version {applied.version} stays in use; rules: {rules}")
    for note in worth_knowing:
        print_error(f"note: {note}")
