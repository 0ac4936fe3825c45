"""Train the dictionary that compresses the state of dormant users: ``python -m tests.benchmarks.dictionary``.

The dictionary must learn the structure of a state, not the products of a shop. So every shopper of a simulated month
first moves to another shop. In the other shop, the letters and digits of items, categories, rules, subjects and ids are
replaced. Then two shoppers share only the structure, the words of our code, and the frequency of each byte.

A new dictionary gets the next number (``compression.DICTIONARY``), because a state that was compressed with an older
one must stay readable.
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
from models.profile.codec import dormant_body, unpack
from models.profile.compression import DICTIONARY
from models.profile.ledger import Timer
from models.profile.recent_items import RecentItem, RecentItems
from models.profile.state import Customer
from tests.benchmarks.profiles import fold_a_month

SIZE = 8_192
SEED = 2
"""Seed of the training month; the memory benchmark uses another seed."""
_KEPT = {"timezone", "country"}
"""Traits whose values are the same words in every shop."""


class Disguise:
    """A substitution of letters by letters and of digits by digits; the same word always gives the same result."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._known: dict[str, str] = {}

    def word(self, word: str) -> str:
        """Replace the characters of one word."""
        if word not in self._known:
            self._known[word] = "".join(map(self._other, word))
        return self._known[word]

    def words(self, text: str) -> str:
        """Replace each word of an id or a sentence separately."""
        for separator in (" ", ":", "-"):
            if separator in text:
                return separator.join(map(self.words, text.split(separator)))
        return self.word(text)

    def _other(self, character: str) -> str:
        if character.isdigit():
            return self.random.choice(string.digits)
        return self.random.choice(string.ascii_lowercase) if character.isalpha() else character


def disguise(customer: Customer, other: Disguise) -> Customer:
    """Move a user to another shop: replace all names in their state."""
    facts, ledger, words = customer.facts, customer.ledger, other.words
    facts.traits = {
        name: words(value) if isinstance(value, str) and name not in _KEPT else value
        for name, value in facts.traits.items()
    }
    facts.last_order = None if facts.last_order is None else words(facts.last_order)
    facts.categories = {words(name): value for name, value in facts.categories.items()}
    facts.cart = {words(item): line for item, line in facts.cart.items()}
    facts.recent = RecentItems.of(RecentItem(words(touch.item), touch.weight, touch.at) for touch in facts.recent)
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
    """Yield the part of each shopper's state that would be compressed, after a month in another shop."""
    for number, packed in enumerate(fold_a_month(seed=SEED).states):
        yield dormant_body(disguise(unpack(packed), Disguise(number)))


def main() -> None:
    """Train the dictionary, and write it over the current one, or into the given file."""
    folder = Path(models.profile.__file__).parent
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else folder / f"dormant_{DICTIONARY}.zdict"
    learned: list[bytes | bytearray | memoryview] = list(samples())
    file.write_bytes(zstandard.train_dictionary(SIZE, learned).as_bytes())
    sys.stdout.write(f"{file}: {file.stat().st_size:,} bytes, of {len(learned):,} states\n")


if __name__ == "__main__":
    main()
