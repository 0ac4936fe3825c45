"""Further tries of what was clearly refused before it was accepted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from models.engage.deliveries import Result, expired
from models.engage.messages import Message

FIRST_S = 1.0
LONGEST_S = 30.0


class Retries:
    """Calls a provider again after ``failed``, within a budget of time.

    Only ``failed`` is tried again: it alone says that another try cannot become a second message.

    Parameters
    ----------
    deliver
        One try.
    now
        The wall clock, milliseconds.
    budget_s
        From the first try; the lane waits for so long at most.
    sleep
        Waits for seconds.
    seed
        Of the jitter that keeps recipients of one outage from coming back at once.
    """

    def __init__(
        self,
        deliver: Callable[[Message], Awaitable[Result]],
        *,
        now: Callable[[], int],
        budget_s: float = 60.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        seed: int = 0,
    ) -> None:
        self._deliver = deliver
        self._now = now
        self._budget_ms = budget_s * 1000
        self._sleep = sleep
        self._random = random.Random(seed)

    async def deliver(self, message: Message) -> Result:
        """Hand one message over, in one try or in several."""
        until = self._now() + self._budget_ms
        tries, wait = 0, FIRST_S
        while True:
            result = await self._deliver(message)
            tries += 1
            if result.status != "failed":
                return result
            pause = max(wait * self._random.uniform(0.5, 1.0), result.retry_after or 0.0)
            if self._now() + pause * 1000 >= until:
                return result._replace(detail=f"{result.detail} (tries: {tries})")
            await self._sleep(pause)
            if expired(message, self._now()):
                return Result("expired", f"{result.detail} (tries: {tries})")
            wait = min(wait * 2, LONGEST_S)
