"""The end of a link between a known user and an anonymous id: planned, computed, and put into the log."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import NamedTuple

from models.errors import PerennialError
from models.events import ANONYMOUS, TEST
from models.identity.linking import is_nameless
from models.identity.split_plan import SplitPlan, plan_split
from models.identity.splitting import PairOfIds, split_of
from models.profile.codec import unpack
from models.profile.links import IdentityOwner, ProfileIdentity
from models.profile.state import Customer
from stream.log.event_log import EventLog
from stream.lookup.client import LookupFailed, ask_state
from stream.lookup.identity import Identity, identity_of
from stream.rebuild.splitting import SplitListener, SplitProfiles
from stream.settings.loading import Settings
from stream.settings.worker_addresses import worker_urls

WITHIN_S = 60.0
"""How long to wait for a worker to act on a control record, seconds."""
ASK_EVERY_S = 0.05
"""How long to wait between two questions to a worker, seconds."""


class NotAnAnonymousId(PerennialError):
    """A link has one known user and one anonymous id: name both, in this order."""


class BeginningLost(PerennialError):
    """The log has lost its first records, so the profiles cannot be computed without the link."""


class NotActed(PerennialError):
    """The worker that owns a profile has not acted on the split in time: run the same command again."""


class SplitProfile(NamedTuple):
    """A profile before or after a split, as its worker has committed it.

    Attributes
    ----------
    customer
        The state.
    now
        The clock of its partition, milliseconds.
    """

    customer: Customer
    now: int


class Splitting:
    """The split of one link; call the methods in their order.

    Parameters
    ----------
    settings
        The settings.
    known, anonymous
        Ids of the two profiles. The prefix ``anonymous:`` may be left out.
    listener
        Receiver of the progress.

    Attributes
    ----------
    pair
        Keys of the two profiles.
    before
        The profiles before the split, by key.
    """

    def __init__(self, settings: Settings, known: str, anonymous: str, listener: SplitListener) -> None:
        self._settings = settings
        self._connection = settings.connection()
        self._own: Identity = identity_of(self._connection)
        self._listener = listener
        self.pair = PairOfIds(known, _key_of(known, anonymous))
        self.before: dict[str, SplitProfile] = {}

    def __repr__(self) -> str:
        return f"Splitting({self.pair})"

    @property
    def profiles(self) -> SplitProfiles:
        """The profiles as they will be."""
        return self._profiles

    @property
    def plan(self) -> SplitPlan:
        """The plan."""
        return self._plan

    @property
    def owner(self) -> IdentityOwner | None:
        """The known user who gets the events of the anonymous id; ``None`` if they stay with the anonymous id."""
        return self._plan.owner

    async def prepare(self, *, keep_past: bool) -> None:
        """Plan the split, and compute both profiles.

        Parameters
        ----------
        keep_past
            Whether past events stay where they are.

        Raises
        ------
        NotLinked
            The two are not linked.
        BeginningLost
            The log has lost its beginning.
        LookupFailed, BrokerUnavailable
            A worker or Kafka does not answer.
        """
        self.before = {user: await self._ask(user) for user in self.pair}
        known, visitor = self.before.values()
        self._plan = plan_split(
            self.pair,
            known.customer.identity,
            visitor.customer.identity,
            max(known.now, visitor.now),
            secrets.token_hex(8),
        )
        self._profiles = SplitProfiles(self._connection, self._settings.partitions, self._plan, self._listener)
        if keep_past:
            return
        deleted = await self._profiles.deleted()
        if deleted:
            shown = ", ".join(f"partition {place} before offset {begin}" for place, begin in sorted(deleted.items()))
            raise BeginningLost(
                f"the records of {shown} were deleted, so the profiles cannot be computed without the link. Nothing "
                f"was changed; --keep-past leaves past events with {self.pair.known}, and keeps only later ones apart"
            )
        await self._profiles.fold()

    async def run(self, *, keep_past: bool) -> int:
        """Write the control records, wait until both workers have acted, and return the number of records.

        Raises
        ------
        NotActed
            A worker has not acted in time.
        ConditionsComing
            New conditions are coming into use.
        BrokerUnavailable, LogUnavailable
            Kafka does not answer. The same command continues.
        """
        written = 0
        async with EventLog(self._connection, self._settings.partitions) as log:
            for user in self._plan.remaining:
                deadline, offset = time.monotonic() + WITHIN_S, -1
                while not await self._has_acted(user, offset, deadline):
                    write = self._profiles.write_without_profile if keep_past else self._profiles.write
                    offset = await write(user, log)
                    written += 1
        return written

    async def after(self) -> dict[str, SplitProfile]:
        """Return both profiles after the split, by key.

        Raises
        ------
        LookupFailed
            A worker does not answer in time.
        """
        deadline = time.monotonic() + WITHIN_S
        return {user: await self._ask_patiently(user, deadline) for user in self.pair}

    async def _ask_patiently(self, user: str, deadline: float) -> SplitProfile:
        """Return a profile; wait for a worker that is starting again."""
        while True:
            try:
                return await self._ask(user)
            except LookupFailed:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(ASK_EVERY_S)

    async def _ask(self, user: str) -> SplitProfile:
        packed, now = await ask_state(worker_urls(self._settings.sections.worker), user, self._own)
        return SplitProfile(unpack(packed), now)

    async def _has_acted(self, user: str, offset: int, deadline: float) -> bool:
        """Return whether a worker has acted on the split; ``False`` once the record at an offset was of no use."""
        other = self.pair.known if is_nameless(user) else self.pair.anonymous
        while time.monotonic() < deadline:
            try:
                customer = (await self._ask_patiently(user, deadline)).customer
            except LookupFailed as error:
                raise self._not_acted(user, offset) from error
            made = split_of(customer.identity, user, other)
            if made is not None and made.id == self._plan.split.id:
                return True
            identity = customer.identity or ProfileIdentity()
            if identity.last_acted != self._plan.previous(user):
                raise NotActed(f"another split of {user} has come before this one; run the same command again")
            if customer.seen >= offset:
                return False
            await asyncio.sleep(ASK_EVERY_S)
        raise self._not_acted(user, offset)

    def _not_acted(self, user: str, offset: int) -> NotActed:
        return NotActed(
            f"the worker that owns {user} has not acted on the split {self._plan.split.id} within {WITHIN_S:g} s; it "
            f"does so when it reaches offset {offset} of its partition; run the same command again to continue"
        )


def _key_of(known: str, anonymous: str) -> str:
    """Return the key of an anonymous id, which belongs to test events if the known user does."""
    if is_nameless(known):
        raise NotAnAnonymousId(f"{known} is an anonymous id; name the known user first, and then the anonymous id")
    if is_nameless(anonymous):
        return anonymous
    return f"{TEST if known.startswith(TEST) else ''}{ANONYMOUS}{anonymous}"
