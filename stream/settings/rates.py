"""The section ``delivery.rates`` of the settings file."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class RateSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The maximum rate of the calls of a provider, over all processes.

    Attributes
    ----------
    per_second
        Calls per second.
    burst
        Calls that may begin at once after a rest.
    """

    per_second: Annotated[float, Meta(gt=0, le=100_000, description="a number above 0, at most 100000")]
    burst: Annotated[int, Meta(ge=1, le=100_000, description="a whole number, 1 to 100000")] = 1
