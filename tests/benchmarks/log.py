"""A log in use: first its clock, the rules and a version of each model, then the load."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Literal

import msgspec

from models.configuration.compiled import encode
from models.learning.churn_scorer import ChurnWeights
from models.learning.naming import AXES
from models.learning.publication import Publication
from models.learning.segment_scorer import SegmentCentres
from models.log import encode_control, opening
from models.profile.features import FEATURES
from stream import presets
from stream.settings import loading as settings
from stream.settings.rules import read_configuration

CLUSTERS = 5
_LEFT_OUT = re.compile(r"^(?:lifecycle:\n(?:  .*\n)+|journeys:\n(?:(?:  .*)?\n)+)", re.MULTILINE)


def log_of(
    load: Iterable[tuple[bytes, bytes]],
    clock: Literal["feeder", "wall"] = "feeder",
    more_rules: str = "",
    more: str = "",
) -> Iterator[tuple[bytes, bytes]]:
    """Return the records with which a log in use begins, and then the load.

    Parameters
    ----------
    load
        Keys and values.
    clock
        Clock of the log.
    more_rules
        Rules in addition to the shop's preset, as written in ``perennial.yaml``.
    more
        Whole sections in addition to those of the preset.
    """
    first = [encode_control(opening(clock))]
    first += [Publication(1, content).broadcast(name) for name, content in versions(more_rules, more).items()]
    return chain(first, load)


def versions(more_rules: str = "", more: str = "") -> dict[str, bytes]:
    """Return a first version of rules and models; the parameters of the models are invented."""
    several = len(FEATURES)
    churn = ChurnWeights(
        features=FEATURES, mean=(0.5,) * several, std=(1.0,) * several, weights=(0.05,) * several, intercept=-2.0
    )
    axes = tuple(FEATURES.index(axis) for axis in AXES if axis in FEATURES)
    segments = SegmentCentres(
        features=FEATURES,
        axes=axes,
        mean=(0.5,) * len(axes),
        std=(1.0,) * len(axes),
        centres=tuple((0.3 * cluster - 0.6,) * len(axes) for cluster in range(CLUSTERS)),
        names=tuple(f"segment {cluster}" for cluster in range(CLUSTERS)),
    )
    return {
        "configuration": rules(more_rules, more),
        "churn": msgspec.json.encode(churn),
        "segments": msgspec.json.encode(segments),
    }


def rules(more_rules: str = "", more: str = "") -> bytes:
    """Return the shop's preset with more rules and more sections, as ``perennial apply`` writes them to the log.

    Its lifecycle and its journeys are left out. The lifecycle is measured alone (``stages`` in
    :mod:`tests.benchmarks.fold_logs`), and figures from before the journeys stay comparable.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        presets.write("shop", folder)
        file = folder / "perennial.yaml"
        text = _LEFT_OUT.sub("", file.read_text())
        if more_rules:
            text = text.replace("\nrules:\n", f"\nrules:\n{more_rules}\n")
        file.write_text(text + more)
        return bytes(encode(read_configuration(settings.load(file, environment={}))))
