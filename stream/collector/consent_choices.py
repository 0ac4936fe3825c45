"""The present choices of a user for the page behind an unsubscribe link, from the worker that owns the user."""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

import msgspec

from models.delivery.address_hashes import SecretMissing
from models.delivery.suppression_list import SuppressionList
from models.events import Channel
from stream.lookup.client import LookupFailed
from stream.lookup.owners import Owners

logger = logging.getLogger(__name__)

WITHIN_S = 1.5
"""How long the page waits for the choices, seconds. Then it offers only to unsubscribe."""
MAX_OWNERS = 3
"""Maximum number of profiles that are asked: an anonymous id, and the known users that own it."""


class ConsentChoice(msgspec.Struct, frozen=True):
    """The choice of a user for one purpose on one channel.

    Attributes
    ----------
    purpose, channel
        The purpose and the channel.
    granted
        Whether messages are sent.
    waits
        Whether a grant waits for its confirmation.
    can_ask
        Whether a grant can be confirmed by an e-mail.
    """

    purpose: str
    channel: Channel
    granted: bool
    waits: bool = False
    can_ask: bool = False


class _Answer(msgspec.Struct, frozen=True):
    """The answer of a worker (``models/fold/consent_view.py``)."""

    choices: list[ConsentChoice]
    addresses: dict[Channel, str]
    owner: str | None = None
    language: str | None = None


class Choices(NamedTuple):
    """The choices of a user on the channels that reach the user.

    Attributes
    ----------
    all
        The choices, channel by channel.
    language
        The language that the user's traits state, as it was sent.
    """

    all: tuple[ConsentChoice, ...]
    language: str | None = None


class ConsentChoices:
    """The source of the choices.

    Parameters
    ----------
    owners
        Client of the workers.
    listed
        The suppression list, as far as it was read. What it stops is not shown as granted.
    """

    def __init__(self, owners: Owners, listed: SuppressionList) -> None:
        self._owners = owners
        self._listed = listed

    async def of(self, user: str, channel: Channel) -> Choices | None:
        """Return the choices of a user on the channels with an address, and on ``channel``.

        Returns
        -------
        Choices or None
            ``None`` if no worker can answer in time, or knows the user.
        """
        try:
            async with asyncio.timeout(WITHIN_S):
                found = await self._ask(user)
        except (LookupFailed, TimeoutError) as error:
            logger.info("choices cannot be shown: %s", error)
            return None
        channels = {channel, *found.addresses}
        shown = (one for one in found.choices if one.granted or one.channel in channels)
        return Choices(tuple(self._as_listed(one, found) for one in shown), found.language)

    async def _ask(self, user: str) -> _Answer:
        for _ in range(MAX_OWNERS):
            found = msgspec.json.decode(await self._owners.ask(user, "/choices"), type=_Answer)
            if found.owner is None:
                break
            user = found.owner
        return found

    def _as_listed(self, choice: ConsentChoice, found: _Answer) -> ConsentChoice:
        """Return a choice without what the suppression list stops for the user's present address."""
        address = found.addresses.get(choice.channel)
        if address is None:
            return choice
        try:
            stop = self._listed.stops(choice.channel, address, "marketing")
            refused = self._listed.stops(choice.channel, address, "marketing", asks=True)
        except SecretMissing:
            return choice
        granted, can_ask = choice.granted and stop is None, choice.can_ask and refused is None
        return msgspec.structs.replace(choice, granted=granted, can_ask=can_ask)
