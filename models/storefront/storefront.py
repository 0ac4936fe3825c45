"""The simulated storefront: it makes, from a seed, events in time order and the truth about every shopper."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from models.events import Channel, Event
from models.storefront.assortment import Assortment
from models.storefront.device import Device
from models.storefront.season import Season
from models.storefront.shopper import (
    KINDS,
    ZONES,
    Shopper,
    draw_kind,
    draw_person,
    draw_taste,
    user_id,
)
from models.storefront.truth import Story, Truth, Visited, season_days
from models.storefront.visit import Visit
from models.units import DAY, MINUTE

ANONYMOUS_SHARE = 0.12
"""Share of shoppers who stay anonymous, 0 to 1."""

_THERE_AT_START = 0.7
_ARRIVALS_UNTIL = 0.85


class ReceivedMessage(NamedTuple):
    """The parts of a message that a shopper sees.

    Attributes
    ----------
    id, user
        Id of the message, and of the user who got it.
    channel
        ``email`` or ``sms``.
    at
        Time of the decision to send it, milliseconds of simulated time.
    marketing
        Whether the message has a link to unsubscribe.
    """

    id: str
    user: str
    channel: Channel
    at: int
    marketing: bool = True


class Storefront:
    """A shop full of simulated people; the same seed gives the same events, byte for byte.

    :meth:`advance` moves time forward and returns events. Between two calls, :meth:`react` delivers messages to
    shoppers. The reactions are later than all events that were returned before.

    Parameters
    ----------
    seed
        Seed, any integer.
    shoppers
        Number of shoppers, including anonymous ones.
    days
        Length of the simulation, days.
    start_ms
        Begin of the simulation, milliseconds since the epoch.
    logins
        Share of the shoppers with an account who begin as anonymous visitors and log in later, 0 to 1. The events of
        the other shoppers do not depend on it.

    Examples
    --------
    >>> storefront = Storefront(seed=1, shoppers=20, days=14, start_ms=1_767_571_200_000)
    >>> events = list(storefront.events())
    >>> events[0].type, events == sorted(events, key=lambda event: event.at)
    ('page_view', True)
    """

    def __init__(self, seed: int, shoppers: int, days: int, start_ms: int, logins: float = 0.0) -> None:
        self.seed, self.days, self.start, self.now = seed, days, start_ms, start_ms
        self.end = start_ms + days * DAY
        self.assortment = Assortment(seed)
        self._visit = Visit(self.assortment, prefix=f"sim{seed}")
        self._offsets = dict(ZONES)
        # Seasons cover some time after the end, so that the truth is known for horizons that end later.
        covered = season_days(days)
        self._seasons = {zone: Season(start_ms, covered, offset) for zone, offset in ZONES}
        self.shoppers = self._people(seed, shoppers)
        self._give_devices(logins)
        self._by_user = {shopper.user: shopper for shopper in self.shoppers}
        self._stories = {s.user: Story(offset=self._offsets[s.zone], visits=[]) for s in self.shoppers}
        # (time, tie-breaker, shopper, plan). A visit is skipped if its plan is not the shopper's newest one, because a
        # reaction replaced it.
        self._visits: list[tuple[int, int, int, int]] = []
        self._plans = [0] * len(self.shoppers)
        self._ready: list[tuple[int, int, Event]] = []
        self._number = {shopper.user: index for index, shopper in enumerate(self.shoppers)}
        self._busy_until = [0] * len(self.shoppers)
        self._sequence = 0
        for index, shopper in enumerate(self.shoppers):
            self._plan(index, shopper.arrives)

    def __repr__(self) -> str:
        """Show the seed, the number of shoppers and the present time."""
        return f"Storefront(seed={self.seed}, shoppers={len(self.shoppers)}, days={self.days}, now={self.now})"

    def advance(self, until_ms: int) -> list[Event]:
        """Move time forward, and return the new events before ``until_ms`` in time order."""
        until = min(until_ms, self.end)
        while self._visits and self._visits[0][0] < until:
            at, _, index, plan = heapq.heappop(self._visits)
            if plan == self._plans[index]:
                self._play(index, at)
        events = []
        while self._ready and self._ready[0][0] < until:
            events.append(heapq.heappop(self._ready)[2])
        self.now = max(self.now, until)
        return events

    def events(self) -> Iterator[Event]:
        """Yield all events until the end, without any messages."""
        while self.now < self.end:
            yield from self.advance(self.now + DAY)

    def react(self, message: ReceivedMessage) -> None:
        """Deliver a message to a shopper, who may open it, click, come back, or unsubscribe after ``now``.

        The random numbers depend only on the seed and the message, and the shopper's own generator is not used. So a
        message that is not clicked changes no visit.
        """
        index = self._number.get(message.user)
        if index is None:
            return
        shopper = self.shoppers[index]
        draw = random.Random(f"reaction:{self.seed}:{message.id}")
        opens = draw.random() < (0.12 if shopper.left else 0.35)
        if not opens:
            return
        at = max(self.now, message.at) + int(draw.expovariate(1 / 90.0) * MINUTE) + MINUTE
        self._push(self._reaction("message_opened", message, at))
        ticket = draw.random()
        if ticket < 0.18:
            at += draw.randrange(5_000, 60_000)
            self._push(self._reaction("message_clicked", message, at))
            self._plan(index, max(at + 2_000, self._busy_until[index] + MINUTE))
        elif ticket < 0.21 and message.marketing and shopper.consented:
            shopper.consented = False
            at += draw.randrange(5_000, 60_000)
            event = Event(
                id=f"{message.id}-unsubscribe", user=message.user, type="consent", at=at, origin="simulate",
                granted=False, channel=message.channel, reason="unsubscribe link", message=message.id,
            )  # fmt: skip
            self._push(event)

    def truth(self) -> Truth:
        """Return the hidden truth, which is complete until ``now``."""
        return Truth(start=self.start, days=season_days(self.days), stories=self._stories)

    def kind_of(self, user: str) -> str:
        """Name the hidden type of a shopper."""
        return self._by_user[user].kind.name

    def person(self, user: str) -> str:
        """Return the id of the shopper who has an id: of a visitor with an account, the id after the login."""
        return self._by_user[user].user

    def _people(self, seed: int, count: int) -> list[Shopper]:
        draw = random.Random(f"people:{seed}")
        tastes = np.array([draw_taste(draw) for _ in range(count)], dtype=np.float64).reshape(count, -1)
        shares = self.assortment.shares(tastes)
        people = []
        # The draw is stratified: every seed has the same numbers of each type, but assigns them to other shoppers.
        kinds = [kind for kind in KINDS for _ in range(round(kind.share * count))][:count]
        kinds += [draw_kind(draw) for _ in range(count - len(kinds))]
        draw.shuffle(kinds)
        anonymous = {number for number in range(count) if draw.random() < ANONYMOUS_SHARE}
        for number in range(count):
            kind = kinds[number]
            zone = draw.choices(ZONES, weights=(5, 3, 1, 1))[0][0]
            first_name, email, phone = draw_person(draw, number)
            span = self.days * _ARRIVALS_UNTIL
            rate = draw.lognormvariate(0.0, kind.spread) / kind.gap_days
            season = self._seasons[zone]
            # Shoppers who exist at the start make their first visit after one gap between visits.
            there = draw.random() < _THERE_AT_START
            late = self.start + int(draw.random() * span * DAY)
            first = season.when(self.start, draw.expovariate(1.0) / max(rate, 0.08)) if there else late
            people.append(
                Shopper(
                    user=user_id(number, identified=number not in anonymous),
                    identified=number not in anonymous,
                    kind=kind,
                    rate=rate,
                    zone=zone,
                    season=season,
                    draw=random.Random(f"shopper:{seed}:{number}"),
                    shares=shares[number],
                    arrives=late if first is None else first,
                    first_name=first_name,
                    email=email,
                    phone=phone,
                )
            )
        return people

    def _give_devices(self, share: float) -> None:
        """Let some shoppers with an account begin as visitors; no other random number is drawn differently."""
        draw = random.Random(f"logins:{self.seed}")
        for number, shopper in enumerate(self.shoppers):
            if shopper.identified and draw.random() < share:
                shopper.device = Device(number, random.Random(f"login:{self.seed}:{number}"))

    def _recognize(self, index: int) -> None:
        """Remember the id under which a shopper is known without a login, because it belongs to the same person."""
        shopper = self.shoppers[index]
        if shopper.device is not None and shopper.device.visitor not in self._number:
            self._number[shopper.device.visitor] = index
            self._by_user[shopper.device.visitor] = shopper
            self._stories[shopper.device.visitor] = self._stories[shopper.user]

    def _plan(self, index: int, at: int) -> None:
        self._plans[index] += 1
        self._sequence += 1
        heapq.heappush(self._visits, (at, self._sequence, index, self._plans[index]))

    def _play(self, index: int, at: int) -> None:
        shopper = self.shoppers[index]
        events = self._visit.play(shopper, at)
        for event in events:
            self._push(event)
        end = events[-1].at
        self._busy_until[index] = end
        self._recognize(index)
        rate = shopper.rate * shopper.engagement
        self._stories[shopper.user].visits.append(Visited(at, end, rate=rate, leave=shopper.leave))
        shopper.left = shopper.draw.random() < shopper.leave
        gap = shopper.draw.expovariate(1.0) / rate
        if shopper.left:
            return
        following = shopper.season.when(end, gap)
        if following is not None:
            # If the gap were below a minute, the next visit would begin before the end of this one.
            self._plan(index, max(following, end + MINUTE))

    def _push(self, event: Event) -> None:
        self._sequence += 1
        heapq.heappush(self._ready, (event.at, self._sequence, event))

    @staticmethod
    def _reaction(type_: Literal["message_opened", "message_clicked"], message: ReceivedMessage, at: int) -> Event:
        return Event(
            id=f"{message.id}-{type_}", user=message.user, type=type_, at=at, origin="simulate",
            message=message.id, channel=message.channel,
        )  # fmt: skip
