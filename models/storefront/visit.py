"""One visit of one shopper: its events, and how it changes the shopper."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from models.events import Event, EventType, OrderLine
from models.storefront.assortment import Assortment, Product
from models.storefront.device import Device
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
    "The {item} arrived broken and no one answers.",
    "I have waited two weeks for the {item}, where is it?",
    "The {item} is not what the picture shows. I am disappointed.",
    "You charged me twice for order {order}.",
)
# Effects of a visit on later ones. A disappointment is visible in an event (complaint, refund, bad rating) and lasts
# long. Other shoppers lose interest without an event; only their gaps grow.
_COOL = 0.12
_FADE, _FADE_TO = 0.005, 0.5
_RECOVER = 0.02
_LEAVE_ANGRY = 0.25


class Visit:
    """A simulator of visits, one at a time.

    Parameters
    ----------
    assortment
        Products of the shop.
    prefix
        Beginning of every ``messageId``.
    """

    def __init__(self, assortment: Assortment, prefix: str) -> None:
        self._assortment = assortment
        self._prefix = prefix

    def __repr__(self) -> str:
        """Show the assortment and the prefix."""
        return f"Visit({self._assortment!r}, prefix={self._prefix!r})"

    def play(self, shopper: Shopper, at: int) -> list[Event]:
        """Simulate a visit, and change the shopper's state.

        Parameters
        ----------
        shopper
            The visitor, whose engagement, probability to leave, cart and pending feedback are updated.
        at
            Begin of the visit, milliseconds since the epoch.

        Returns
        -------
        list of Event
            At least one event, in time order; the last one ends the visit.
        """
        draw = shopper.draw
        events: list[Event] = []
        clock = at

        def happen(type_: EventType, **fields: Any) -> None:
            nonlocal clock
            events.append(self.event(shopper, type_, clock, **fields))
            clock += draw.randrange(5 * SECOND, 60 * SECOND)

        shopper.visits += 1
        device = shopper.device
        self._arrive(shopper, happen)
        angry = self._opinion(shopper, happen)
        self._browse(shopper, happen)
        if device is not None and device.logs_in_now(has_cart=bool(shopper.cart)):
            self._log_in(shopper, device, happen)
        if shopper.cart and draw.random() < shopper.kind.checkout:
            self._order(shopper, happen)
        elif shopper.cart and draw.random() < 0.3:
            # Old carts are emptied after some time.
            shopper.cart.clear()
        if draw.random() < 0.012:
            happen("support_message", text=self._text(shopper, _QUESTIONS), properties={"topic": "question"})
        self._change_consent(shopper, happen, angry=angry)
        self._leave_with(shopper, angry=angry)
        return events

    def event(self, shopper: Shopper, type_: EventType, at: int, **fields: Any) -> Event:
        """Make an event of a shopper, with the shopper's next ``messageId``."""
        shopper.events += 1
        identity = f"{self._prefix}-{shopper.user.rsplit('-', 1)[-1]}-{shopper.events}"
        if not shopper.identified:
            identity = f"{self._prefix}-visitor-{shopper.user.rsplit('-', 1)[-1]}-{shopper.events}"
        return Event(id=identity, user=shopper.sender, type=type_, at=at, origin="simulate", **fields)

    def order(self, shopper: Shopper, at: int, lines: list[tuple[Product, int]]) -> Event:
        """Make a purchase of these products."""
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
        """Return the traits for an identify event."""
        return {
            "email": shopper.email,
            "phone": shopper.phone,
            "firstName": shopper.first_name,
            "timezone": shopper.zone,
        }

    def _arrive(self, shopper: Shopper, happen: Any) -> None:
        device = shopper.device
        if device is None:
            happen("page_view", name="home")
            if shopper.identified and not shopper.introduced and shopper.draw.random() < 0.8:
                self._introduce(shopper, happen)
            return
        device.begin_visit()
        happen("page_view", name="home")
        # Feedback on an order needs the account, if the shopper has one.
        if device.logs_in_first(shopper.visits) or (shopper.introduced and shopper.awaiting is not None):
            self._log_in(shopper, device, happen)

    def _log_in(self, shopper: Shopper, device: Device, happen: Any) -> None:
        if not device.is_logged_in:
            device.is_logged_in = True
            self._introduce(shopper, happen, anonymous=device.visitor)

    def _introduce(self, shopper: Shopper, happen: Any, anonymous: str | None = None) -> None:
        is_new, shopper.introduced = not shopper.introduced, True
        happen("identify", traits=self.introduction(shopper), anonymous=anonymous)
        if is_new and shopper.draw.random() < 0.7:
            shopper.consented = True
            happen("consent", granted=True, reason="newsletter box")

    def _opinion(self, shopper: Shopper, happen: Any) -> bool:
        """Give feedback on the last purchase.

        Return whether the purchase disappointed; if it did, at least one event shows it.
        """
        awaiting = shopper.awaiting
        if awaiting is None:
            return False
        shopper.awaiting = None
        draw = shopper.draw
        item = awaiting.product
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

    def _pick(self, shopper: Shopper, focus: str | None) -> Product:
        draw, shares = shopper.draw, shopper.shares
        total = int(shares[-1])
        item = self._assortment.products[bisect_right(shares, draw.randrange(total))]
        if focus is not None and draw.random() < 0.5:
            for _ in range(4):
                if item.category == focus:
                    break
                item = self._assortment.products[bisect_right(shares, draw.randrange(total))]
        return item

    def _order(self, shopper: Shopper, happen: Any) -> None:
        lines = list(shopper.cart.values())
        order = self.order(shopper, 0, lines)
        shopper.events -= 1  # The event itself is made by happen(), with the clock of the visit.
        happen("purchase", order=order.order, amount=order.amount, currency=order.currency, lines=order.lines)
        item, quantity = shopper.draw.choice(lines)
        shopper.awaiting = Awaiting(item, order.order or "", quantity, shopper.draw.random() < shopper.kind.fussy)
        shopper.cart.clear()

    def _change_consent(self, shopper: Shopper, happen: Any, *, angry: bool) -> None:
        if not shopper.introduced or (shopper.device is not None and not shopper.device.is_logged_in):
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
        item = awaiting.product if awaiting else self._pick(shopper, None)
        order = awaiting.order if awaiting else f"o-{shopper.user.rsplit('-', 1)[-1]}-{max(1, shopper.orders)}"
        return shopper.draw.choice(texts).format(item=item.title, order=order)


def _cart(item: Product, quantity: int) -> dict[str, Any]:
    return {
        "item": item.id,
        "category": item.category,
        "amount": item.price,
        "quantity": quantity,
        "currency": CURRENCY,
    }
