"""Failures injected into the fold: each fails at each attempt, at places that follow from a seed."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np
import pytest

from models.engage import outcomes
from models.engage.planner import Planner
from models.fold import assessment, decisions_pass, event_fold, step
from models.learning.churn_scorer import ChurnScorer
from models.learning.segment_scorer import SegmentScorer
from models.profile import orders, seen_ids, trait_limits

__all__ = ["inject_failures"]


class _Injected(ZeroDivisionError):
    """The error of all injected failures."""


def inject_failures(monkeypatch: pytest.MonkeyPatch, seed: int, per_mille: int) -> None:
    """Let the functions of the fold fail for some of their arguments.

    Parameters
    ----------
    monkeypatch
        The patch, which ends with the test.
    seed
        The seed of the places.
    per_mille
        Share of the arguments for which a function fails.
    """

    def fails(*what: object) -> bool:
        return crc32(repr((seed, what)).encode()) % 1_000 < per_mille

    def wrap(owner: Any, name: str, what: Any, *, at_end: bool = False) -> None:
        original = getattr(owner, name)

        def wrapped(*arguments: Any, **named: Any) -> Any:
            has_failed = fails(name, *what(*arguments))
            if has_failed and not at_end:
                raise _Injected(name)
            result = original(*arguments, **named)
            if has_failed:
                raise _Injected(name)
            return result

        monkeypatch.setattr(owner, name, wrapped)

    wrap(step, "reduce_facts", lambda facts, numbers, event, *_: (event.id,), at_end=True)
    wrap(step, "withdraw", lambda facts, channels, at, source: (tuple(channels), at, source), at_end=True)
    wrap(step, "encode_interaction", lambda key, found: (key, found))
    wrap(step, "step_timer", lambda piece, user, timer: (user.name, timer.name, timer.due), at_end=True)
    wrap(assessment, "mark_returned", lambda user, event, versions: (event.id,))
    wrap(event_fold, "statement_of", lambda facts, event, consent: (event.id,))
    wrap(event_fold, "check", lambda facts, event, cutoffs: (event.id,))
    wrap(orders, "repeat_of", lambda facts, event, before: (event.id,))
    wrap(trait_limits, "beyond", lambda known, traits, consent: (repr(traits), len(known)))
    wrap(seen_ids, "remember", lambda ids, digest, now, at, floor: (digest, at), at_end=True)
    wrap(outcomes, "record_outcome", lambda ledger, event: (event.id,), at_end=True)
    wrap(outcomes, "notices_of_withdrawal", lambda ledger, event, *_: (event.id,), at_end=True)
    wrap(Planner, "plan", lambda planner, rule, signal, who: (rule.name, signal.cause, signal.at), at_end=True)
    wrap(Planner, "release", lambda planner, who: (who.user, who.now), at_end=True)
    wrap(decisions_pass, "encode_effects", lambda key, effects: (key, repr(effects.signals), len(effects.decisions)))
    wrap(decisions_pass, "encode_signals", lambda key, signals: (key, repr(signals)))
    wrap(decisions_pass, "pack_row", lambda row: (tuple(row),))
    for scorer in (ChurnScorer, SegmentScorer):
        _inject_into(monkeypatch, scorer, lambda row, name=scorer.__name__: any(row) and fails(name, tuple(row)))


def _inject_into(monkeypatch: pytest.MonkeyPatch, scorer: Any, fails: Any) -> None:
    """Let a scorer fail for some rows, each alone and beside others."""
    predict_one, predict = scorer.predict_one, scorer.predict

    def failing_one(self: Any, row: list[float]) -> Any:
        if fails(list(row)):
            raise _Injected(scorer.__name__)
        return predict_one(self, row)

    def failing(self: Any, columns: Any) -> Any:
        if any(fails(row) for row in np.asarray(columns).T.tolist()):
            raise _Injected("several rows")
        return predict(self, columns)

    monkeypatch.setattr(scorer, "predict_one", failing_one)
    monkeypatch.setattr(scorer, "predict", failing)
