"""Write keys: who may send events to the HTTP door, and how far they are trusted.

A ``server`` key is secret. A ``browser`` key stands in a page, so anybody can read it, and its events are marked
``trust: public``. If a request carries several keys, any known key admits it, and the least trusted known one decides.
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
        As clients send it.
    trust
        Of the events that come with it.
    """

    value: bytes
    trust: Trust = "server"


class WriteKeys:
    """All write keys of an installation; without any, every request is admitted and trusted.

    Parameters
    ----------
    keys
        Their values need not differ; of two with the same value the less trusted counts.
    """

    def __init__(self, keys: Iterable[WriteKey] = ()) -> None:
        self._keys = tuple(keys)

    def admit(self, said: Iterable[object], items: Iterable[object] = ()) -> Admission | None:
        """Decide on a request.

        Parameters
        ----------
        said
            Keys that the request as a whole carries; what is no text or bytes is no key.
        items
            Keys of the events in it. They admit the request only if it carries no known key as a whole.

        Returns
        -------
        Admission or None
            ``None`` where none of the keys is known.
        """
        if not self._keys:
            return Admission(self, "server")
        trust = self.trust_of(said) or self.trust_of(items)
        return None if trust is None else Admission(self, trust)

    def trust_of(self, said: Iterable[object]) -> Trust | None:
        """Return the trust of the least trusted known key among ``said``; ``None`` where none is known."""
        found = {self._trust(key) for key in set(map(_encoded, said)) if key is not None}
        return "public" if "public" in found else "server" if "server" in found else None

    def _trust(self, said: bytes) -> Trust | None:
        # every key is compared, so that the time it takes tells nothing
        matches = {key.trust for key in self._keys if hmac.compare_digest(said, key.value)}
        return "public" if "public" in matches else "server" if "server" in matches else None


class Admission(NamedTuple):
    """An admitted request.

    Attributes
    ----------
    keys
        That admitted it.
    trust
        Of its events.
    """

    keys: WriteKeys
    trust: Trust

    def of(self, key: object) -> Trust:
        """Return the trust of one event, which its own key can only lower."""
        if key is None or self.trust == "public":
            return self.trust
        return self.keys.trust_of((key,)) or self.trust


def _encoded(key: object) -> bytes | None:
    if isinstance(key, str):
        return key.encode("utf-8", "surrogatepass")  # lone surrogates become bytes that no configured key has
    return key if isinstance(key, bytes) else None
