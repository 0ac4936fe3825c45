"""Kinds of values that several sections of ``perennial.yaml`` have."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from models import durations

Port = Annotated[int, Meta(ge=0, le=65535, description="a port, 0 to 65535 (0 takes a free one)")]
Duration = Annotated[str, Meta(pattern=durations.PATTERN, description=durations.ALLOWED)]


class Secret(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Place of a secret, never the secret itself.

    Attributes
    ----------
    env
        Name of an environment variable.
    file
        Path of a file; white space at its end is ignored.
    """

    env: Annotated[str, Meta(min_length=1)] | None = None
    file: Annotated[str, Meta(min_length=1)] | None = None

    def __post_init__(self) -> None:
        """Refuse a secret with two places, and one without a place."""
        if (self.env is None) == (self.file is None):
            raise ValueError("Expected {env: NAME} or {file: PATH}")
