"""The promises of online models, checked for each model in ``tests/support/online_models.py``."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module

import pytest

import models.learning
from models.learning.checks import CHECKS, ModelCase
from models.learning.learner import VersionedLearner
from tests.support.online_models import MODELS
from tests.support.paths import ROOT


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", MODELS)
def test_every_model_passes_every_check(name: str, check: Callable[[ModelCase], None]) -> None:
    check(MODELS[name])


def test_every_learner_of_the_package_is_listed() -> None:
    for module in pkgutil.iter_modules(models.learning.__path__, "models.learning."):
        import_module(module.name)

    listed = {type(case.make(case.features)) for case in MODELS.values()}
    written_here = {found for found in VersionedLearner.__subclasses__() if found.__module__.startswith("models.")}
    assert written_here
    assert written_here <= listed


_IN_ANOTHER_PROCESS = """
import hashlib, sys
from tests.support.online_models import MODELS
print(hashlib.sha256(MODELS[sys.argv[1]].trained(500, 14).state()).hexdigest())
"""


@pytest.mark.parametrize("name", MODELS)
def test_the_hash_seed_of_a_process_does_not_change_what_it_learns(name: str) -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", _IN_ANOTHER_PROCESS, name],
            capture_output=True,
            check=True,
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
