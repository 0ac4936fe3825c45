"""``perennial apply``: put the rules, caps, quiet hours and templates of the settings file into use."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Annotated, Any, Literal, Self

import typer

from models.configuration.compiled import Configuration
from models.counting import counted
from models.fold.prospects import ConditionsPlan, ProspectiveCounts
from stream.cli import in_flight as in_flight_runs
from stream.cli.output import Config, Json, print_error, print_json, print_line, print_table
from stream.cli.progress import ShowProgress, progress_bar
from stream.cluster.topics import require_topics
from stream.installation.applying import ApplyOptions, apply_plan, read_plan, read_wanted
from stream.installation.in_flight import orders_about
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
        if counts.taken:
            known = {name: f"{number:,}" for name, number in counts.taken.items() if name not in self._plan.untold}
            untold = dict.fromkeys(self._plan.untold, "not known: its segment reads marks")
            print_table(("journey", "members who enter"), sorted((known | untold).items()))
        if counts.stages and self._plan.has_new_stages:
            print_table(("stage", "users"), [(name, f"{number:,}") for name, number in sorted(counts.stages.items())])
        print_line(f"of {counted(counts.users, 'user')}, when the configuration takes effect")

    def _entering(self, name: str) -> str:
        return f"{self.counts.entering[name]:,}" if name in self.counts.entering else "-"

    def brought(self, records: int) -> None:
        if not self._is_plain:
            print_line(f"the history of new conditions took {counted(records, 'record')}")


InFlight = Annotated[
    str,
    typer.Option(
        metavar="finish|move|exit",
        help="Runs under way of changed or removed journeys: finish in their version, move to the new one (move:2h "
        "spreads what is due over 2h, move over 1h), or exit.",
    ),
]


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
    in_flight: InFlight = "finish",
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            help="Do not ask about runs; let users enter where `on_apply: enter` or `existing: enter` says so.",
        ),
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
    and rules may send them messages. With `existing: enter`, those who are in the
    segment of a new journey enter the journey, about 1,000 a second in each
    partition. The command shows how many there are, and needs --yes.

    A new or changed journey needs a test that passes (`perennial journeys test`).
    --without-test waives it by name.

    The command shows how many runs of changed and removed journeys are under way.
    With --in-flight move they go on in the new version, at the step of the same id.
    A wait keeps its start. Runs in removed steps go where `moved_to` says, or end.
    With --in-flight exit they end, and their waiting messages are dropped. Both act
    at one place of the log, and the command asks before, unless --yes is given.
    """
    fate, settings = in_flight_runs.fate_of(in_flight), opened(config)
    wanted, connection = read_wanted(settings), settings.connection()
    require_topics(connection, settings.partitions)
    plan = asyncio.run(read_plan(connection, wanted))
    require_tests(settings, wanted, plan.known, without_test or ())
    runs = in_flight_runs.counted_runs(settings, plan, fate.choice, may_act=yes, is_plain=json)
    orders = orders_about(plan.known, wanted, runs, fate.choice, fate.spread)
    with _Shown(plan, is_plain=json) as shown:
        applied = asyncio.run(apply_plan(settings, plan, ApplyOptions(clock, history == "log", yes, orders), shown))
    worth_knowing = list(notes(wanted, asyncio.run(names_in_use(connection))))
    if json:
        under_way = [in_flight_runs.as_json(one) for one in runs]
        print_json({**_described(applied, wanted, shown.counts, worth_knowing), "in_flight": under_way})
        return
    _show_applied(applied, wanted, worth_knowing)


def _show_applied(applied: Applied, wanted: Configuration, said: list[str]) -> None:
    rules = ", ".join(rule.name for rule in wanted.rules) or "none"
    if applied.changed:
        print_line(f"configuration version {applied.version} is in use from now on; rules: {rules}")
    else:
        print_line(f"nothing has changed: configuration version {applied.version} stays in use; rules: {rules}")
    for note in said:
        print_error(f"note: {note}")


def _described(applied: Applied, wanted: Configuration, found: ProspectiveCounts, said: list[str]) -> dict[str, Any]:
    """Describe what was applied, for machines."""
    return {
        "version": applied.version,
        "changed": applied.changed,
        "rules": [rule.name for rule in wanted.rules],
        "notes": said,
        "users": found.users,
        "members": dict(found.members),
        "entering": dict(found.entering),
        "entering_journeys": dict(found.taken),
        "stages": dict(found.stages),
    }
