from models.conditions.parsing import parse_condition
from models.lifecycle.choosing import lifecycle_of
from models.lifecycle.definition import STAGES

NEWS = parse_condition({"event": "News Read", "within": "7d"}, "when")


def exits(stage: str, *stated: tuple[str, str, object]) -> list[tuple[str, bool]]:
    """Return the targets of a stage of a shop, and whether their conditions are ``NEWS``."""
    moves = lifecycle_of("purchases", stated).moves  # type: ignore[arg-type]  # conditions or None
    return [(move.target, move.when is NEWS) for move in moves if move.origin == stage]


def test_a_stated_move_keeps_the_place_of_the_default_that_it_replaces() -> None:
    assert exits("at_risk") == [("loyal", False), ("engaged", False), ("dormant", False)]
    assert exits("at_risk", ("at_risk", "engaged", NEWS)) == [("loyal", False), ("engaged", True), ("dormant", False)]


def test_a_move_between_another_pair_of_stages_is_tried_first() -> None:
    assert exits("engaged", ("engaged", "churned", NEWS)) == [("churned", True), ("at_risk", False), ("loyal", False)]


def test_a_default_move_is_removed() -> None:
    assert exits("at_risk", ("at_risk", "loyal", None)) == [("engaged", False), ("dormant", False)]


def test_without_defaults_only_stated_moves_and_stages_are_there() -> None:
    found = lifecycle_of("none", [("in", "out", NEWS)], ("in", "out"))

    assert found.stages == ("in", "out")
    assert [(move.origin, move.target) for move in found.moves] == [("in", "out")]
    assert lifecycle_of().stages == STAGES
