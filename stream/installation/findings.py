"""Findings: the named results of checking an installation, for ``perennial check`` and ``perennial up``."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Finding(NamedTuple):
    """One result of checking an installation.

    Attributes
    ----------
    name
        Stable name, for programs and for ``perennial up --force NAME``. It is a subject, or a part of a subject such as
        ``delivery.public_url``.
    result
        ``failed`` stops something from working; ``note`` is worth knowing.
    says
        The finding in words.
    """

    name: str
    result: Literal["ok", "note", "failed"]
    says: str

    @property
    def what(self) -> str:
        """The subject, such as ``settings``, ``rules``, ``secrets``, ``delivery``, ``broker``, ``topics``, ``upgrade``.

        Examples
        --------
        >>> Finding("delivery.public_url", "failed", "http.public_url is not set").what
        'delivery'
        """
        return self.name.partition(".")[0]

    def as_json(self) -> dict[str, str]:
        """Return the finding as ``check --json`` shows it."""
        return {"name": self.name, "what": self.what, "result": self.result, "says": self.says}
