from __future__ import annotations

import random

import pytest

from models.learning.evaluation import auc, brier, calibration_error, log_loss
from models.learning.prequential import Prequential


def _grades(count: int, window: int) -> tuple[Prequential, list[tuple[float, bool]]]:
    chance, grades, rows = random.Random(0), Prequential(window), []
    for _ in range(count):
        risk = chance.random()
        churned = chance.random() < risk
        grades.grade(risk, churned)
        rows.append((risk, churned))
    return grades, rows


def test_figures_are_those_of_the_newest_window() -> None:
    grades, rows = _grades(500, window=200)
    risks, churned = zip(*rows[-200:], strict=True)
    figures = grades.figures()
    assert figures["graded"] == 500
    assert figures["auc"] == auc(risks, churned)
    assert figures["brier"] == brier(risks, churned)
    assert figures["log_loss"] == log_loss(risks, churned)
    assert figures["calibration_error"] == calibration_error(risks, churned)
    assert figures["churned"] == pytest.approx(sum(churned) / 200)


def test_examples_from_before_the_first_version_are_counted_but_not_graded() -> None:
    grades = Prequential()
    for _ in range(3):
        grades.grade(None, churned=True)
    assert grades.figures() == {
        "graded": 0,
        "ungraded": 3,
        "auc": None,
        "log_loss": None,
        "brier": None,
        "calibration_error": None,
        "churned": None,
    }


def test_grades_continue_from_saved_numbers() -> None:
    grades, _ = _grades(300, window=200)
    again = Prequential.load(grades.dump(), 200)
    assert again.figures() == grades.figures()
    for one in (grades, again):
        one.grade(0.25, churned=True)
    assert again.dump() == grades.dump()
