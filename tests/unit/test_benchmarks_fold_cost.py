"""The comparison of two folds leaves out what only the newer one has, and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.benchmarks.fold_cost import common, differences


def _dump(*, traits: dict[str, str], consent: list[object], **more: object) -> dict[str, Any]:
    user = {"traits": traits, "consent": {"email": consent}, "timers": [[5, "assess"]], **more}
    signal = msgspec.json.encode({"kind": "refund", "at": 7})
    return {
        "counts": {("timers_fired", "assess"): 1.0},
        "outputs": [("signals", b"ada", signal)],
        "users": {b"ada": user},
    }


def test_topics_timers_and_fields_of_the_newer_fold_are_no_differences() -> None:
    old = _dump(traits={"plan": "free"}, consent=[True, 3])
    new = _dump(traits={"plan": "free"}, consent=[True, 3, "evt-1"], known_since=2)
    new["users"][b"ada"]["timers"].append([9, "buyer"])
    new["counts"][("timers_fired", "buyer")] = 4.0
    new["counts"][("examples_emitted", "population")] = 1.0
    new["outputs"] = [
        ("examples.population", b"ada", b"{}"),
        ("signals", b"ada", msgspec.json.encode({"kind": "refund", "at": 7, "mark": "x"})),
    ]
    old["users"][b"ada"]["seen_ids"] = [1, [2, 9], "AAECAwQFBgcICQoLDA0ODw=="]
    new["users"][b"ada"]["seen_ids"] = [1, [1, 9], "CAkKCwwNDg8="]
    assert list(differences(old, new))
    assert not list(differences(old, common(old, new)))


def test_other_differences_remain() -> None:
    old = _dump(traits={"plan": "free"}, consent=[True, 3])
    new = _dump(traits={"plan": "free", "city": "Ulm"}, consent=[True, 4, "evt-1"])
    new["outputs"][0] = ("signals", b"ada", msgspec.json.encode({"kind": "refund", "at": 8}))
    new["outputs"].append(("signals", b"bob", b"{}"))
    new["counts"][("timers_fired", "assess")] = 2.0
    old["users"][b"ada"]["seen_ids"] = [1, [1, 9], "AAECAwQFBgc="]
    new["users"][b"ada"]["seen_ids"] = [1, [1, 9], "CAkKCwwNDg8="]
    found = "\n".join(differences(old, common(old, new)))
    for part in (
        "counts:",
        "number of outputs: 1 and 2",
        "signals.at: 7 and 8",
        "traits.city",
        "consent.email[1]: 3 and 4",
    ):
        assert part in found
