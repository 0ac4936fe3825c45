"""The section ``delivery.costs`` of the settings file."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class CostSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The cost of one message, for reports.

    Attributes
    ----------
    amount
        Cost of a message, in units of the currency.
    currency
        Code of the currency.
    """

    amount: Annotated[float, Meta(ge=0, le=1000, description="a number, 0 to 1000")]
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$", description="a code such as EUR")]
