"""The categories of messages."""

from __future__ import annotations

from typing import Literal, TypeAlias

Category: TypeAlias = Literal["marketing", "transactional"]
"""``marketing`` needs consent and respects caps and quiet hours; ``transactional`` does not."""
