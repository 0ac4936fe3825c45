"""Runs under way of journeys that a configuration changes or removes: their numbers, and the orders about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, TypeAlias

from models.configuration.compiled import Configuration
from models.configuration.journeys.versions import version_of
from models.errors import PerennialError
from models.fold.move_prospects import MoveCounts, MoveQuestion
from models.log import JourneyOrder, JourneyOrders, encode_control
from stream.lookup.client import LookupFailed
from stream.lookup.identity import identity_of
from stream.lookup.journeys import JourneyLookups
from stream.settings.loading import Settings
from stream.settings.worker_addresses import worker_urls

Choice: TypeAlias = Literal["finish", "move", "exit"]
"""Fate of runs under way: they finish in their version, move to the new one, or end."""


class OlderRuns(NamedTuple):
    """The runs under way of one journey in other versions than the wanted one.

    Attributes
    ----------
    journey
        Name of the journey.
    version
        The wanted version; empty if the journey is removed.
    under_way
        Number of these runs, by version.
    move
        What a move would do; ``None`` if it was not asked for.
    """

    journey: str
    version: str
    under_way: Mapping[str, int]
    move: MoveCounts | None = None

    @property
    def number(self) -> int:
        """Number of these runs."""
        return sum(self.under_way.values()) if self.move is None else self.move.under_way


class OlderRunsNotCounted(PerennialError):
    """No worker could say how many runs are under way: start the workers, or accept that the number is not known."""


class OlderRunsNotAccepted(PerennialError):
    """Older runs would move or end, and no one has accepted that: add ``--yes``."""


def journey_lookups(settings: Settings) -> JourneyLookups:
    """Return the questions about journeys to the workers of an installation on this machine."""
    urls = worker_urls(settings.sections.worker)
    return JourneyLookups(urls, settings.partitions, identity_of(settings.connection()))


async def older_runs(settings: Settings, wanted: Configuration, choice: Choice) -> list[OlderRuns]:
    """Ask the workers for runs that a configuration concerns: of changed and of removed journeys.

    Parameters
    ----------
    settings
        The settings.
    wanted
        The configuration to apply.
    choice
        What is to happen to the runs; for ``move``, the workers go through all runs.

    Raises
    ------
    OlderRunsNotCounted
        A partition has no worker on this machine, or none that is ready.
    """
    versions, lookups = {one.name: version_of(one) for one in wanted.journeys}, journey_lookups(settings)
    try:
        states = await lookups.states()
        found = []
        for one in states.journeys:
            version = versions.get(one.name, "")
            others = {walked: number for walked, number in one.counts.active.items() if walked != version}
            if others or (one.version and one.version != version):
                found.append(OlderRuns(one.name, version, others))
        if choice != "move" or not any(one.number for one in found):
            return found
        changed = {one.journey for one in found}
        journeys = tuple(one for one in wanted.journeys if one.name in changed)
        moves = await lookups.moves(MoveQuestion(journeys, tuple(one.journey for one in found if not one.version)))
    except LookupFailed as error:
        raise OlderRunsNotCounted(f"the number of runs under way is not known: {error}") from error
    return [one._replace(move=moves.get(one.journey, MoveCounts())) for one in found]


def orders_about(
    known: Configuration | None, wanted: Configuration, runs: Iterable[OlderRuns], choice: Choice, spread: int
) -> list[tuple[bytes, bytes]]:
    """Return the control records by which runs in other versions than the wanted one move or end; none for ``finish``.

    Parameters
    ----------
    known, wanted
        The configuration in use, and the one to apply.
    runs
        The runs under way, as far as the workers know them.
    choice
        What is to happen to them.
    spread
        For ``move``: milliseconds over which runs are released whose wait would be over.
    """
    if choice == "finish":
        return []
    versions = {one.name: version_of(one) for one in wanted.journeys}
    before = {} if known is None else {one.name: version_of(one) for one in known.journeys}
    names = [name for name, version in before.items() if version != versions.get(name)]
    names = list(dict.fromkeys([*names, *(one.journey for one in runs)]))
    orders = tuple(JourneyOrder(name, choice, versions.get(name, ""), spread) for name in names)
    return [encode_control(JourneyOrders(orders))] if orders else []
