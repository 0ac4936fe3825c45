"""The runs of a user, described for people and other systems."""

from __future__ import annotations

from typing import Any

from models.configuration.journeys.versions import step_at
from models.engage.journeys.leaving import exit_due
from models.fold.moments import moment
from models.fold.versions import Versions
from models.profile.runs import Run
from models.profile.state import Customer


def describe_runs(customer: Customer, versions: Versions) -> list[dict[str, Any]]:
    """Describe the runs of a user that are under way, in the order of their entries."""
    runs = customer.ledger.runs
    return [] if runs is None else [_described(run, versions) for run in runs.active]


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
        "since": moment(run.arrived_at),
        "until": moment(run.until) if run.until else None,
        "ends_by": None if compiled is None else moment(exit_due(compiled.journey, run)),
        "conversions": run.conversions,
        "outcomes": run.outcomes,
    }
