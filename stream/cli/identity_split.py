"""What a split of two profiles changes, described for people and other systems."""

from __future__ import annotations

from typing import Any, NamedTuple

from models.counting import counted
from models.fold.moments import moment
from models.fold.versions import Versions
from models.fold.view import money
from models.profile.state import Customer
from stream.cli.output import print_line, short_time
from stream.installation.splitting import Splitting


class SplitPreview(NamedTuple):
    """The changes that a split makes.

    Attributes
    ----------
    id, user, anonymous
        Id of the split, and keys of the two profiles.
    until
        Time up to which logins do not link the two any more, as text.
    to
        Key of the profile that gets the events.
    events
        Number of events that go there, by type.
    orders, spent
        Number of orders among them, and the money by currency.
    left, entered
        Segments by rule that the user leaves or enters.
    stages
        Stage of the user before and after; ``None`` without a lifecycle, or if it stays the same.
    messages
        Number of sent messages that stay with the user.
    """

    id: str
    user: str
    anonymous: str
    until: str | None
    to: str
    events: dict[str, int]
    orders: int
    spent: dict[str, float]
    left: list[str]
    entered: list[str]
    stages: tuple[str, str] | None
    messages: int


def preview_of(splitting: Splitting, *, keep_past: bool) -> SplitPreview:
    """Describe what a split will change, after it was prepared."""
    (known, anonymous), plan, owner = splitting.pair, splitting.plan, splitting.owner
    before = splitting.before[known].customer
    after, share, versions = before, Customer(), Versions()
    if not keep_past:
        fold = splitting.profiles.of(known)
        after, versions = fold.profile(known), fold.versions
        share = splitting.profiles.of(anonymous).profile(anonymous)
    was, will = _segments(before, versions), _segments(after, versions)
    stages = (_stage(before, versions), _stage(after, versions))
    return SplitPreview(
        id=plan.split.id,
        user=known,
        anonymous=anonymous,
        until=moment(plan.split.until),
        to=anonymous if owner is None else owner.user,
        events={**share.facts.events},
        orders=share.facts.orders,
        spent=money(share.facts.spent),
        left=[name for name in was if name not in will],
        entered=[name for name in will if name not in was],
        stages=None if stages[0] == stages[1] else stages,
        messages=len(before.ledger.sent),
    )


def show(preview: SplitPreview, *, keep_past: bool) -> None:
    """Print what a split will change."""
    user, anonymous = preview.user, preview.anonymous
    if keep_past:
        print_line(f"all past events stay with {user}; later ones of {anonymous} do not go there any more")
    else:
        shown = ", ".join(f"{number:,} {kind}" for kind, number in sorted(preview.events.items())) or "none"
        back = "go back" if preview.to == anonymous else "go on"
        print_line(f"{counted(sum(preview.events.values()), 'event')} {back} to {preview.to}: {shown}")
        if preview.orders:
            spent = ", ".join(f"{amount:,.2f} {currency}" for currency, amount in preview.spent.items())
            print_line(f"with them {counted(preview.orders, 'order')}: {spent}")
    for verb, names in (("leaves", preview.left), ("enters", preview.entered)):
        if names:
            print_line(f"{user} {verb} the segments {', '.join(names)}")
    if preview.stages is not None:
        print_line(f"the stage of {user} changes from {preview.stages[0]} to {preview.stages[1]}")
    print_line(
        f"{counted(preview.messages, 'sent message')} {'stay' if preview.messages != 1 else 'stays'} with {user}"
    )
    print_line(f"logins up to {short_time(preview.until)} UTC do not link {user} and {anonymous} any more")


def as_json(preview: SplitPreview, profiles: dict[str, Customer] | None) -> dict[str, Any]:
    """Describe a split as JSON; ``profiles`` are those after it, ``None`` if nothing was changed."""
    content = preview._asdict()
    content["stages"] = None if preview.stages is None else dict(zip(("before", "after"), preview.stages, strict=True))
    content["is_done"] = profiles is not None
    content["events_now"] = None if profiles is None else {key: number_of(one) for key, one in profiles.items()}
    return content


def number_of(customer: Customer) -> int:
    """Return the number of events that count for a profile."""
    return sum(customer.facts.events.values())


def _segments(customer: Customer, versions: Versions) -> list[str]:
    """Return the names of the segments by rule in which a user is, in the sequence of the file."""
    conditions, held = versions.conditions, customer.ledger.memberships
    if conditions is None or held is None:
        return []
    keys = {one.name: one.key for one in conditions.program.segments}
    return [one.name for one in conditions.asked.segments if keys[one.name] in held.since]


def _stage(customer: Customer, versions: Versions) -> str:
    lifecycle, stage = versions.configuration.lifecycle, customer.ledger.stage
    if lifecycle is None:
        return ""
    return lifecycle.stages[0] if stage is None else stage.name
