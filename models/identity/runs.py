"""Join the journeys of an anonymous visitor with those of the known user: a run goes on, and sends to the user."""

from __future__ import annotations

from typing import NamedTuple

from models.profile.runs import MAX_ENTERED, MAX_RUNS, Run, UserRuns


class JoinedRuns(NamedTuple):
    """The journeys of both profiles together.

    Attributes
    ----------
    runs
        The journeys.
    taken
        Runs of the visitor that go on.
    left_out
        Runs of the visitor that end.
    replaced
        Runs of the known user that end.
    """

    runs: UserRuns
    taken: tuple[Run, ...]
    left_out: tuple[Run, ...]
    replaced: tuple[Run, ...]


def join_runs(own: UserRuns, visitor: UserRuns) -> JoinedRuns:
    """Join the journeys of two profiles of one person.

    Of two runs of one journey with the same key, the older one goes on; at the same time, that of the known user.
    A visitor's run for which there is no room ends.
    """
    active, taken, left_out, replaced = list(own.active), list[Run](), list[Run](), list[Run]()
    for run in visitor.active:
        rival = next((one for one in active if (one.journey, one.key) == (run.journey, run.key)), None)
        if (rival is not None and rival.entered_at <= run.entered_at) or (rival is None and len(active) >= MAX_RUNS):
            left_out.append(run)
            continue
        if rival is not None:
            active.remove(rival)
            replaced.append(rival)
        active.append(run)
        taken.append(run)
    entered = dict(own.entered)
    for number, at in visitor.entered.items():
        entered[number] = max(at, entered.get(number, 0))
    newest = sorted(entered.items(), key=lambda one: (one[1], one[0]))[-MAX_ENTERED:]
    runs = UserRuns(tuple(active), dict(newest))
    return JoinedRuns(runs, tuple(taken), tuple(left_out), tuple(replaced))
