"""``perennial apply``: put the rules, caps, quiet hours and templates of the settings file into use."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Annotated, Literal, Self

import typer

from stream.cli.output import Config, Json, print_error, print_json, print_line, print_table
from stream.cli.progress import ShowProgress, progress_bar
from stream.cluster.topics import require_topics
from stream.installation.applying import apply as put_into_use
from stream.installation.applying import apply_with_history, new_clauses, read_wanted
from stream.installation.recognition import opened
from stream.installation.segment_names import names_in_use, notes
from stream.settings.rules import read_configuration


class _History:
    """The progress of reading the log, and the numbers that the command shows."""

    def __init__(self) -> None:
        self.members: Mapping[str, int] = {}
        self.users = 0
        self.records = 0
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

    def counted(self, members: Mapping[str, int], users: int) -> None:
        self.members, self.users = members, users

    def brought(self, records: int) -> None:
        self.records = records


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
    json: Json = False,
) -> None:
    """Put the settings file's rules, templates, caps, quiet hours, consent names and churn definition into use.

    They take effect for all later events in the log. Earlier decisions do not
    change, and a replay of the log makes the same decisions.

    New segments by rule read the log first, and the command shows how many users
    are in each. These users become members silently, without messages. Until then
    the new conditions are unknown, and no one enters by mistake.
    """
    settings = opened(config)
    wanted, connection = read_configuration(settings), settings.connection()
    require_topics(connection, settings.partitions)
    clauses = asyncio.run(new_clauses(connection, wanted)) if history == "log" else frozenset[int]()
    shown = _History()
    if clauses:
        with shown:
            work = apply_with_history(settings, read_wanted(settings), clock, clauses, shown)
            applied = asyncio.run(work)
    else:
        applied = put_into_use(settings, clock)
    worth_knowing = list(notes(wanted, asyncio.run(names_in_use(connection))))
    names = [rule.name for rule in wanted.rules]
    if json:
        said = {"version": applied.version, "changed": applied.changed, "rules": names, "notes": worth_knowing}
        print_json({**said, "members": dict(shown.members)})
        return
    if shown.members:
        print_table(("segment", "members"), [(name, f"{count:,}") for name, count in sorted(shown.members.items())])
        print_line(f"of {shown.users:,} users; the history of new conditions took {shown.records:,} records")
    rules = ", ".join(names) or "none"
    if applied.changed:
        print_line(f"configuration version {applied.version} is in use from now on; rules: {rules}")
    else:
        print_line(f"nothing has changed: configuration version {applied.version} stays in use; rules: {rules}")
    for note in worth_knowing:
        print_error(f"note: {note}")
