"""Write keys: the permission to send events to the HTTP door, and the trust in these events.

A ``server`` key is secret. A ``browser`` key is in a page, so every visitor can read it. Its events are marked
``trust: public``. If a request carries several keys, any known key admits it, and the least trusted known key decides
the trust.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import NamedTuple

from models.events import Trust


class WriteKey(NamedTuple):
    """One write key.

    Attributes
    ----------
    value
        The key as clients send it.
    trust
        Trust in the events that come with the key.
    """

    value: bytes
    trust: Trust = "server"


class WriteKeys:
    """All write keys of an installation. Without any, every request is admitted and trusted.

    Parameters
    ----------
    keys
        The keys. If two have the same value, the less trusted one counts.
    """

    def __init__(self, keys: Iterable[WriteKey] = ()) -> None:
        self._keys = tuple(keys)

    def __repr__(self) -> str:
        return f"WriteKeys({len(self._keys)} keys)"

    def admit(self, said: Iterable[object], items: Iterable[object] = ()) -> Admission | None:
        """Decide whether a request may send events.

        Parameters
        ----------
        said
            Keys of the request itself; a value that is neither text nor bytes is not a key.
        items
            Keys of the events in the request. They count only if the request itself has no known key.

        Returns
        -------
        Admission or None
            ``None`` if none of the keys is known.
        """
        if not self._keys:
            return Admission(self, "server")
        trust = self.trust_of(said) or self.trust_of(items)
        return None if trust is None else Admission(self, trust)

    def trust_of(self, said: Iterable[object]) -> Trust | None:
        """Return the trust of the least trusted known key among ``said``; ``None`` if none is known."""
        found = {self._trust(key) for key in set(map(_encoded, said)) if key is not None}
        return "public" if "public" in found else "server" if "server" in found else None

    def _trust(self, said: bytes) -> Trust | None:
        # Every key is compared, so that the duration gives no hint.
        matches = {key.trust for key in self._keys if hmac.compare_digest(said, key.value)}
        return "public" if "public" in matches else "server" if "server" in matches else None


class Admission(NamedTuple):
    """An admitted request.

    Attributes
    ----------
    keys
        All keys of the installation.
    trust
        Trust in the events of the request.
    """

    keys: WriteKeys
    trust: Trust

    def of(self, key: object) -> Trust:
        """Return the trust in one event. The event's key can only lower the trust."""
        if key is None or self.trust == "public":
            return self.trust
        return self.keys.trust_of((key,)) or self.trust


def _encoded(key: object) -> bytes | None:
    if isinstance(key, str):
        return key.encode("utf-8", "surrogatepass")  # lone surrogates become bytes that are in no key
    return key if isinstance(key, bytes) else None
