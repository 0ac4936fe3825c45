"""One visit of one shopper: what they do in the shop, as events, and how it leaves them."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from models.events import Event, EventType, OrderLine
from models.storefront.catalogue import Catalogue, Item
from models.storefront.shopper import Awaiting, Shopper
from models.units import SECOND

CURRENCY = "USD"

_QUESTIONS = (
    "Is the {item} in stock again soon?",
    "Do you ship the {item} abroad?",
    "Which size is the {item}?",
    "Can I still change the address of order {order}?",
)
_COMPLAINTS = (
    "The {item} arrived broken and nobody answers.",
    "I have waited two weeks for the {item}, where is it?",
    "The {item} is not what the picture shows. I am disappointed.",
    "You charged me twice for order {order}.",
)
# What a visit does to the next ones. Disappointment shows in some event (a complaint, a refund, a bad rating) and
# hardly heals; the fading of the others shows only in their growing gaps.
_COOL = 0.12
_FADE, _FADE_TO = 0.005, 0.5
_RECOVER = 0.02
_LEAVE_ANGRY = 0.25


class Visit:
    """Plays visits, one at a time.

    Parameters
    ----------
    catalogue
        What is on sale.
    prefix
        Of every ``messageId``.
    """

    def __init__(self, catalogue: Catalogue, prefix: str) -> None:
        self._catalogue = catalogue
        self._prefix = prefix
        self._by_category: dict[str, list[Item]] = {}
        for item in catalogue.items:
            self._by_category.setdefault(item.category, []).append(item)

    def play(self, shopper: Shopper, at: int) -> list[Event]:
        """Let a shopper visit; changes what they carry.

        Parameters
        ----------
        shopper
            Who; engagement, the probability to leave, cart and opinions are updated.
        at
            Begin, milliseconds.

        Returns
        -------
        list of Event
            In time order, at least one; the last one ends the visit.
        """
        draw = shopper.draw
        events: list[Event] = []
        clock = at

        def happen(type_: EventType, **fields: Any) -> None:
            nonlocal clock
            events.append(self.event(shopper, type_, clock, **fields))
            clock += draw.randrange(5 * SECOND, 60 * SECOND)

        shopper.visits += 1
        happen("page_view", name="home")
        if shopper.identified and not shopper.introduced and draw.random() < 0.8:
            self._introduce(shopper, happen)
        angry = self._opinion(shopper, happen)
        self._browse(shopper, happen)
        if shopper.cart and draw.random() < shopper.kind.checkout:
            self._order(shopper, happen)
        elif shopper.cart and draw.random() < 0.3:
            # Whatever is left in a cart is cleared out sooner or later.
            shopper.cart.clear()
        if draw.random() < 0.012:
            happen("support_message", text=self._text(shopper, _QUESTIONS), properties={"topic": "question"})
        self._change_consent(shopper, happen, angry=angry)
        self._leave_with(shopper, angry=angry)
        return events

    def event(self, shopper: Shopper, type_: EventType, at: int, **fields: Any) -> Event:
        """One event of a shopper, with the next ``messageId`` of theirs."""
        shopper.events += 1
        identity = f"{self._prefix}-{shopper.user.rsplit('-', 1)[-1]}-{shopper.events}"
        if not shopper.identified:
            identity = f"{self._prefix}-visitor-{shopper.user.rsplit('-', 1)[-1]}-{shopper.events}"
        return Event(id=identity, user=shopper.user, type=type_, at=at, origin="simulate", **fields)

    def order(self, shopper: Shopper, at: int, lines: list[tuple[Item, int]]) -> Event:
        """A purchase of these items."""
        shopper.orders += 1
        return self.event(
            shopper,
            "purchase",
            at,
            order=f"o-{shopper.user.rsplit('-', 1)[-1]}-{shopper.orders}",
            amount=sum(item.price * quantity for item, quantity in lines),
            currency=CURRENCY,
            lines=tuple(OrderLine(item.id, quantity, item.price, item.category) for item, quantity in lines),
        )

    def introduction(self, shopper: Shopper) -> dict[str, Any]:
        """Traits of an identify event."""
        return {
            "email": shopper.email,
            "phone": shopper.phone,
            "firstName": shopper.first_name,
            "timezone": shopper.zone,
        }

    def _introduce(self, shopper: Shopper, happen: Any) -> None:
        shopper.introduced = True
        happen("identify", traits=self.introduction(shopper))
        if shopper.draw.random() < 0.7:
            shopper.consented = True
            happen("consent", granted=True, reason="newsletter box")

    def _opinion(self, shopper: Shopper, happen: Any) -> bool:
        """Feedback on the last purchase: its pain is always visible in some event."""
        awaiting = shopper.awaiting
        if awaiting is None:
            return False
        shopper.awaiting = None
        draw = shopper.draw
        item = awaiting.item
        if not awaiting.bad:
            if draw.random() < 0.25:
                happen("rating", item=item.id, category=item.category, rating=float(draw.choice((4, 4, 5, 5, 5, 3))))
            return False
        complains, returns = draw.random() < 0.6, draw.random() < 0.5
        if complains:
            happen(
                "support_message", text=self._text(shopper, _COMPLAINTS, awaiting), properties={"topic": "complaint"}
            )
        if returns:
            happen(
                "refund",
                order=awaiting.order,
                amount=item.price * awaiting.quantity,
                currency=CURRENCY,
                lines=(OrderLine(item.id, awaiting.quantity, item.price, item.category),),
            )
        if draw.random() < 0.5 or not (complains or returns):
            happen("rating", item=item.id, category=item.category, rating=float(draw.choice((1, 1, 2))))
        return True

    def _browse(self, shopper: Shopper, happen: Any) -> None:
        draw, kind = shopper.draw, shopper.kind
        focus: str | None = None
        views = 1 + min(30, int(draw.expovariate(1.0 / (kind.views - 0.5))))
        for _ in range(views):
            item = self._pick(shopper, focus)
            focus = focus or item.category
            if draw.random() < 0.25:
                happen("click", item=item.id, category=item.category, amount=item.price, currency=CURRENCY)
            happen("product_view", item=item.id, category=item.category, amount=item.price, currency=CURRENCY)
            if draw.random() < kind.cart:
                quantity = 1 + int(draw.expovariate(1.0 / (kind.quantity - 0.5)))
                shopper.cart[item.id] = (item, quantity)
                happen("cart_add", **_cart(item, quantity))
                if draw.random() < 0.08:
                    del shopper.cart[item.id]
                    happen("cart_remove", **_cart(item, quantity))

    def _pick(self, shopper: Shopper, focus: str | None) -> Item:
        draw, shares = shopper.draw, shopper.shares
        total = int(shares[-1])
        item = self._catalogue.items[bisect_right(shares, draw.randrange(total))]
        if focus is not None and draw.random() < 0.5:
            for _ in range(4):
                if item.category == focus:
                    break
                item = self._catalogue.items[bisect_right(shares, draw.randrange(total))]
        return item

    def _order(self, shopper: Shopper, happen: Any) -> None:
        lines = list(shopper.cart.values())
        order = self.order(shopper, 0, lines)
        shopper.events -= 1  # the event itself is made by happen(), with the clock of the visit
        happen("purchase", order=order.order, amount=order.amount, currency=order.currency, lines=order.lines)
        item, quantity = shopper.draw.choice(lines)
        shopper.awaiting = Awaiting(item, order.order or "", quantity, shopper.draw.random() < shopper.kind.fussy)
        shopper.cart.clear()

    def _change_consent(self, shopper: Shopper, happen: Any, *, angry: bool) -> None:
        if not shopper.introduced:
            return
        ticket = shopper.draw.random()
        if shopper.consented and ticket < (0.12 if angry else 0.004):
            shopper.consented = False
            happen("consent", granted=False, reason="preference page")
        elif not shopper.consented and ticket < 0.01:
            shopper.consented = True
            happen("consent", granted=True, reason="preference page")

    def _leave_with(self, shopper: Shopper, *, angry: bool) -> None:
        if angry:
            shopper.engagement *= _COOL
            shopper.leave = max(_LEAVE_ANGRY, shopper.kind.leave)
            return
        shopper.leave = shopper.kind.leave
        if shopper.draw.random() < _FADE:
            shopper.engagement *= _FADE_TO
        else:
            shopper.engagement += (1.0 - shopper.engagement) * _RECOVER

    def _text(self, shopper: Shopper, texts: tuple[str, ...], awaiting: Awaiting | None = None) -> str:
        item = awaiting.item if awaiting else self._pick(shopper, None)
        order = awaiting.order if awaiting else f"o-{shopper.user.rsplit('-', 1)[-1]}-{max(1, shopper.orders)}"
        return shopper.draw.choice(texts).format(item=item.title, order=order)


def _cart(item: Item, quantity: int) -> dict[str, Any]:
    return {
        "item": item.id,
        "category": item.category,
        "amount": item.price,
        "quantity": quantity,
        "currency": CURRENCY,
    }
