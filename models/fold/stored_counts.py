"""Counts that a partition stores in one small record each, such as those of a journey, and sums of such counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import msgspec

from models.batch import Restored

_Counts = TypeVar("_Counts", bound=msgspec.Struct)
_encode = msgspec.msgpack.Encoder().encode


class StoredCounts(Generic[_Counts]):
    """The counts of one kind in a partition, with uncommitted changes.

    Parameters
    ----------
    committed
        The committed state; it is only read.
    begin
        Beginning of the keys under which the counts are stored; then their name.
    kind
        Class of the counts. Without arguments, it makes counts in which nothing has happened.
    """

    def __init__(self, committed: Restored, begin: bytes, kind: type[_Counts]) -> None:
        decode = msgspec.msgpack.Decoder(kind).decode
        found = {key: content for key, content in committed.records.items() if key.startswith(begin)}
        self._begin = begin
        self._kind = kind
        self._known = {key[len(begin) :].decode(): decode(content) for key, content in found.items()}
        self._changed: dict[bytes, bytes | None] = {}

    def __repr__(self) -> str:
        """Show how many counts there are."""
        return f"{type(self).__name__}({len(self._known)} of {self._kind.__name__})"

    @property
    def names(self) -> Iterable[str]:
        """Names of the counts."""
        return self._known.keys()

    def of(self, name: str) -> _Counts:
        """Return the counts of a name."""
        return self._known.setdefault(name, self._kind())

    def mark_changed(self, names: Iterable[str]) -> None:
        """Store the counts of these names with the next commit."""
        self._changed.update((self._key(name), _encode(self._known[name])) for name in names)

    def keep(self, names: Iterable[str]) -> None:
        """Forget all other counts."""
        kept = frozenset(names)
        for name in [name for name in self._known if name not in kept]:
            del self._known[name]
            self._changed[self._key(name)] = None

    def take_changes(self) -> dict[bytes, bytes | None]:
        """Return the encoded counts that have changed since the last call."""
        changed, self._changed = self._changed, {}
        return changed

    def _key(self, name: str) -> bytes:
        return self._begin + name.encode()


def joined(kind: type[_Counts], parts: Iterable[_Counts]) -> _Counts:
    """Return the sums of counts: of numbers, and of numbers by name.

    Parameters
    ----------
    kind
        Class of the counts.
    parts
        The counts, such as those of several partitions.
    """
    whole = kind()
    for part in parts:
        for name in kind.__struct_fields__:
            setattr(whole, name, _sum(getattr(whole, name), getattr(part, name)))
    return whole


def _sum(one: Any, other: Any) -> Any:
    if isinstance(one, dict):
        return {name: one.get(name, 0) + other.get(name, 0) for name in sorted(one.keys() | other.keys())}
    return one + other
