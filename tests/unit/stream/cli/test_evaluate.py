"""``perennial evaluate recommend`` grades the recommender on recorded interactions."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from models.recommend.interactions import encode_interaction
from stream.cli import run
from tests.support.tastes import interactions_of_two_tastes


def test_a_published_split_is_ranked_in_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Forty users of two tastes. Only the held-out item of a user's taste is not in the user's training data.
    lines = {"train": [], "test": []}  # type: dict[str, list[str]]
    for user in range(40):
        taste = [2 * number + user % 2 for number in range(20)]
        held_out = taste[user // 2]
        lines["train"].append(" ".join(map(str, [user, *(item for item in taste if item != held_out)])))
        lines["test"].append(f"{user} {held_out}")
    for name, content in lines.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(content) + "\n")
    code = run(["evaluate", "recommend", str(tmp_path), "--dimensions", "8", "--json"])
    report = orjson.loads(capsys.readouterr().out)

    assert code == 0
    assert (report["users"], report["items"], report["train"], report["test"]) == (40, 40, 760, 40)
    assert report["recall_at_20"] == 1.0
    assert report["ndcg_at_20"] > 0.99


def test_a_file_with_times_is_evaluated_as_by_the_retrainer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "interactions.jsonl"
    file.write_bytes(b"\n".join(encode_interaction(each) for each in interactions_of_two_tastes(users=200, seed=1)))
    code = run(["evaluate", "recommend", str(file), "--dimensions", "8", "--json"])
    report = orjson.loads(capsys.readouterr().out)

    assert code == 0
    assert report["recall_at_10"] > 1.5 * report["popularity_recall_at_10"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.jsonl", '{"user": "u"}', "line 1: Object missing required field `item`"),
        ("x.inter", "user_id\titem_id\n", "line 1: no column timestamp; found user_id, item_id"),
        ("x.inter", "user_id\titem_id\ttimestamp\nu\ti\tsoon\n", "line 2: found 'u\\ti\\tsoon'"),
    ],
)
def test_a_mistake_is_named_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_text(content)
    code = run(["evaluate", "recommend", str(tmp_path / name)])

    assert code == 2
    assert said in capsys.readouterr().err


def test_a_folder_without_a_split_gives_exit_code_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "recommend", str(tmp_path)]) == 2
    assert "no train.txt or train.txt.gz in it" in capsys.readouterr().err
