"""The runs of a user, described for people and other systems."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from models.configuration.journeys.versions import step_at
from models.engage.journeys.leaving import exit_due
from models.engage.journeys.orders import settled
from models.fold.moments import moment
from models.fold.user_values import time_zone
from models.fold.versions import Versions
from models.profile.runs import Run
from models.profile.state import Customer


def describe_runs(customer: Customer, versions: Versions) -> list[dict[str, Any]]:
    """Describe the runs of a user that are under way, in the order of their entries."""
    runs = customer.ledger.runs
    return [] if runs is None else [_described(run, versions) for run in followed(customer, runs.active, versions)]


def followed(customer: Customer, runs: Iterable[Run], versions: Versions) -> Iterable[Run]:
    """Yield the runs of a user as they are after all orders, also if the user has not been reached yet."""
    zone, journeys = time_zone(customer.facts.traits, versions.configuration), versions.journeys
    for run in runs:
        progress = settled(run, journeys.orders.orders, journeys.walked, zone).progress
        if not progress.ended:
            yield progress.run


def _described(run: Run, versions: Versions) -> dict[str, Any]:
    compiled = versions.journeys.by_version.get(run.version)
    step = None if compiled is None else step_at(compiled.journey.steps, run.place)
    return {
        "journey": run.journey,
        "version": run.version,
        "run": run.id,
        "entered": moment(run.entered_at),
        "key": run.key or None,
        "entry": run.entry,
        "control_group": run.is_held_out,
        "step": getattr(step, "id", None),
        "since": moment(run.arrived_at) if run.arrived_at > 0 else None,
        "until": moment(run.until) if run.until else None,
        "held_since": moment(run.held_since) if run.held_since else None,
        "ends_by": None if compiled is None else moment(exit_due(compiled.journey, run)),
        "conversions": run.conversions,
        "outcomes": run.outcomes,
    }
