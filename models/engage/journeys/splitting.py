"""Split users at random, always in the same way: into the control group, and into the arms of an experiment."""

from __future__ import annotations

from collections.abc import Sequence

from models.conditions.writing import digest
from models.configuration.journeys.definition import Arm, Journey

_WHOLE = 2**64


def is_held_out(journey: Journey, user: str) -> bool:
    """Return whether a user belongs to the control group of a journey.

    Examples
    --------
    >>> from models.configuration.journeys.definition import Entry, StageTrigger
    >>> half = Journey("welcome", Entry(StageTrigger("new")), (), (), holdout=2**63)
    >>> sum(is_held_out(half, f"u{number}") for number in range(1000))
    508
    """
    return bool(journey.holdout) and _place(f"holdout:{journey.name}", user) < journey.holdout


def arm_of(experiment: str, arms: Sequence[Arm], user: str) -> int:
    """Return the index of a user's arm, by rendezvous hashing.

    Each arm draws a number for the user, and the greatest wins. A greater weight gives a greater number. So a changed
    weight moves users only into its arm, or only out of it.

    Source: Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", 1998. Weights as in Schindelhauer
    and Schomaker, "Weighted Distributed Hash Tables", 2005, page 3.

    Parameters
    ----------
    experiment
        Name of the experiment.
    arms
        The arms; at least one has a weight above 0.
    user
        Id of the user.
    """
    return max(range(len(arms)), key=lambda index: (_draw(experiment, arms[index], user), -index))


def _draw(experiment: str, arm: Arm, user: str) -> tuple[int, int]:
    """Return a number for an arm that compares as ``-weight / log(share)`` does; an arm of weight 0 never wins.

    To be equal on every processor, the comparison uses whole numbers: the logarithm has 64 bits after the point.
    """
    if not arm.weight:
        return (0, 0)
    return (1, -(_negative_log2(_place(f"experiment:{experiment}:{arm.name}", user)) // arm.weight))


def _place(salt: str, user: str) -> int:
    return digest(salt.encode() + b"\0" + user.encode())


def _negative_log2(share: int) -> int:
    """Return -log2((share + 1) / 2^64), in 2^-64, by repeated squaring of whole numbers."""
    share += 1
    exponent = share.bit_length() - 1
    mantissa = share << (64 - exponent)  # from 2^64 to 2^65
    fraction = 0
    for _ in range(64):
        mantissa = mantissa * mantissa >> 64
        fraction <<= 1
        if mantissa >= 2 * _WHOLE:
            mantissa >>= 1
            fraction |= 1
    return (64 - exponent) * _WHOLE - fraction
