"""Make the dictionary that states of users who rest are squeezed with: ``python -m tests.benchmarks.dictionary``.

It learns how a state is built, not what a shop sells: every shopper of the simulated month is given a shop of their own
first, in which items, categories, rules, subjects, people and ids have other letters and digits. So what is common to
two of them is the structure, our own words, and how often each byte occurs.

A new dictionary gets the next number (``resting.DICTIONARY``): what an older one has squeezed has to be read.
"""

from __future__ import annotations

import random
import string
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import zstandard

import models.profile
from models.profile.compression import DICTIONARY
from models.profile.recent_items import Recent, Touch
from models.profile.state import Customer, Timer, resting_body, unpack
from tests.benchmarks.profiles import fold_a_month

SIZE = 4_096
SEED = 2
"""Not the one that the memory benchmark plays."""
_KEPT = {"timezone", "country"}
"""Traits that are the same words everywhere."""


class Disguise:
    """Other letters for letters and other digits for digits, the same ones for the same word."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._known: dict[str, str] = {}

    def word(self, word: str) -> str:
        """One word in disguise."""
        if word not in self._known:
            self._known[word] = "".join(map(self._other, word))
        return self._known[word]

    def words(self, text: str) -> str:
        """Each word of an id or a sentence for itself."""
        for separator in (" ", ":", "-"):
            if separator in text:
                return separator.join(map(self.words, text.split(separator)))
        return self.word(text)

    def _other(self, character: str) -> str:
        if character.isdigit():
            return self.random.choice(string.digits)
        return self.random.choice(string.ascii_lowercase) if character.isalpha() else character


def disguise(customer: Customer, other: Disguise) -> Customer:
    """A user as they would be in another shop."""
    facts, ledger, words = customer.facts, customer.ledger, other.words
    facts.traits = {
        name: words(value) if isinstance(value, str) and name not in _KEPT else value
        for name, value in facts.traits.items()
    }
    facts.last_order = None if facts.last_order is None else words(facts.last_order)
    facts.categories = {words(name): value for name, value in facts.categories.items()}
    facts.cart = {words(item): line for item, line in facts.cart.items()}
    facts.recent = Recent.of(Touch(words(touch.item), touch.weight, touch.at) for touch in facts.recent)
    ledger.timers = [Timer(timer.due, _timer(timer.name, other)) for timer in ledger.timers]
    ledger.sent = [
        msgspec.structs.replace(
            sent,
            id=f"{other.random.getrandbits(128):032x}",
            rule=words(sent.rule),
            subject=words(sent.subject),
            why=sent.why.replace(sent.rule, words(sent.rule)),
        )
        for sent in ledger.sent
    ]
    ledger.withheld = [msgspec.structs.replace(one, rule=words(one.rule)) for one in ledger.withheld]
    ledger.fired = {words(rule): at for rule, at in ledger.fired.items()}
    for example in ledger.examples:
        example.schema = f"{other.random.getrandbits(64):016x}"
    return customer


def _timer(name: str, other: Disguise) -> str:
    kind, colon, argument = name.partition(":")
    return kind + colon + other.words(argument)


def samples() -> Iterator[bytes]:
    """What would be squeezed of each shopper of a month, in disguise."""
    for number, packed in enumerate(fold_a_month(seed=SEED).states):
        yield resting_body(disguise(unpack(packed), Disguise(number)))


def main() -> None:
    """Train it, and write it into the place of the one in use, or into the file that is named."""
    folder = Path(models.profile.__file__).parent
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else folder / f"resting_{DICTIONARY}.zdict"
    learned: list[bytes | bytearray | memoryview] = list(samples())
    file.write_bytes(zstandard.train_dictionary(SIZE, learned).as_bytes())
    sys.stdout.write(f"{file}: {file.stat().st_size:,} bytes, of {len(learned):,} states\n")


if __name__ == "__main__":
    main()
