"""A part of all users, always the same one, for commands that need not look at every user."""

from __future__ import annotations

from hashlib import blake2b

_SHARES = 1 << 32


class UserSample:
    """A part of all users, chosen by a hash of their ids; so each run has the same ones.

    Parameters
    ----------
    share
        The share of users, above 0 and at most 1.

    Examples
    --------
    >>> sum(UserSample(0.1).has(b"user-%d" % number) for number in range(10_000))
    1008
    """

    def __init__(self, share: float = 1.0) -> None:
        self.share = share
        self._below = round(share * _SHARES)

    def __repr__(self) -> str:
        return f"UserSample({self.share})"

    def has(self, key: bytes) -> bool:
        """Return whether a user is in the sample."""
        if self._below >= _SHARES:
            return True
        return int.from_bytes(blake2b(key, digest_size=4, person=b"sample").digest(), "big") < self._below


EVERYONE = UserSample()
