"""Users with everything and with nothing, as ``perennial user --json`` describes them, and the fields of the answers.

``tests/docs/user_fields.json`` has the fields that were promised. After fields were added, run::

    python -m tests.support.described_users
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from models.conditions.program import segment_key
from models.conditions.user_state import Memberships
from models.configuration.compiled import encode
from models.configuration.journeys.parsing import parse_journey
from models.configuration.journeys.versions import version_of
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.errors import PerennialError
from models.events import Event
from models.fold.versions import Versions
from models.fold.view import describe
from models.profile.consents import ConsentProof, grant, permit, withdraw
from models.profile.ledger import IssuedRfm, Pending, SentMessage, Stage, Timer, Withheld
from models.profile.links import IdentityConflict, IdentityLink, IdentityOwner, LinkSplit, ProfileIdentity
from models.profile.numbers import numbers_of, put_back
from models.profile.orders import WHOLE
from models.profile.reducers import reduce_facts
from models.profile.runs import Run, UserRuns
from models.profile.state import CartLine, Customer, KnownOrder, PendingGrant
from models.units import DAY, HOUR
from tests.support.configured_versions import churn_version, population_version, segments_version
from tests.support.event_logs import START
from tests.support.paths import ROOT
from tests.support.segment_logs import VIEWERS

PATH = ROOT / "tests/docs/user_fields.json"
NAMED = {
    "profile.traits": "NAME",
    "profile.events": "TYPE",
    "profile.spent": "CURRENCY",
    "profile.refunded": "CURRENCY",
    "profile.refunds_beyond_orders": "CURRENCY",
    "profile.categories": "NAME",
    "profile.cart": "ITEM",
    "profile.our_messages": "TYPE",
    "profile.consent": "CHANNEL",
    "profile.pending_consent": "CHANNEL",
    "rfm.spent_without_refunds": "CURRENCY",
    "features": "NAME",
    "marks": "NAME",
    "journeys[].entry": "NAME",
    "journeys[].outcomes": "STEP",
}
"""Objects whose keys are data, and what their keys are."""
_ANY = ("profile.traits.NAME", "journeys[].entry.NAME", "marks.NAME")
"""Fields that may have a value of any kind."""
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z")
_TRIAL = {
    "name": "trial",
    "enter": {"on": {"event": "Trial Started"}, "key": "workspace"},
    "exit": [{"after": "30d", "as": "late"}],
    "steps": [{"id": "pause", "wait": "2d"}, {"id": "hello", "send": "t"}],
}
_COOL = {"name": "cool", "template": "t", "cooldown": "3d", "when": {"cart_left": {"for": "1h"}}}


def answers() -> list[dict[str, Any]]:
    """Return the answers about a user with everything, one with nothing, a visitor who has logged in, and a buyer."""
    versions = Versions()
    versions.use("level", 2, b"")
    sections = {"rules": [_COOL], "segments": [VIEWERS], "lifecycle": {}, "journeys": [_TRIAL]}
    configured = parse(sections, {"t": Template("Hi", "text")})
    versions.use("configuration", 1, encode(configured))
    for model in (churn_version(1), segments_version(1), population_version(1)):
        versions.use(model.name, 1, bytes(model.content))
    owner = IdentityOwner("ada", START, "m1", "merge:1", 3)
    split = LinkSplit("s1", START, START + DAY, 7)
    visitor = Customer(identity=ProfileIdentity(owner=owner, splits={"bob": split}))
    return [
        describe("ada", _ada(), START + 3 * DAY, versions),
        describe("nobody", Customer(), START, Versions()),
        describe("anonymous:a1", visitor, START, versions),
        describe("carl", _carl(), START, Versions()),
    ]


def _carl() -> Customer:
    customer = Customer()
    facts, numbers = customer.facts, numbers_of(customer.facts)
    more: dict[str, Any] = {"order": "o2", "amount": 10_000_000, "currency": "EUR"}
    reduce_facts(facts, numbers, Event(id="m1", user="carl", type="purchase", at=START, **more))
    put_back(numbers, facts)
    facts.consent = {"email": withdraw(None, START, ConsentProof("link", "m2", "consent"))}
    facts.pending = {"email": PendingGrant(START, is_due=True, event=b"m3")}
    return customer


def _ada() -> Customer:
    customer = Customer()
    facts, ledger, numbers = customer.facts, customer.ledger, numbers_of(customer.facts)
    for number, kind in enumerate(("page_view", "rating", "support_message", "message_opened", "purchase", "refund")):
        more: dict[str, Any] = {"item": "mug", "category": "kitchen", "rating": 4.0} if kind == "rating" else {}
        if kind in ("purchase", "refund"):
            more = {"order": "o1", "amount": 40_000_000, "currency": "EUR"}
        event = Event(id=f"m{number}", user="ada", type=kind, at=START + number, **more)  # type: ignore[arg-type]
        reduce_facts(facts, numbers, event)
    put_back(numbers, facts)
    facts.identified, facts.traits = True, {"firstName": "Ada", "timezone": "PST", "country": "ES", "seats": [1]}
    facts.known_orders = {"o1": KnownOrder(START, 40_000_000, "EUR", 60_000_000, WHOLE)}
    facts.cart = {"mug": CartLine(2, 5_000_000)}
    granted = grant(None, START + 7, ConsentProof("box", "m7", "consent", confirmed=True, text="checkout 3"))
    facts.pending = {"sms": PendingGrant(START, 1, START, source="form", event=b"m8", text="checkout 3")}
    facts.consent = {
        "email": granted,
        "sms": withdraw(grant(None, START + 9), START + 8),
        "news@email": msgspec.structs.replace(permit(None, START), bought=START),
    }
    ledger.segment, ledger.segment_version, ledger.segment_since = "busy", 1, START
    ledger.memberships = Memberships({segment_key("viewers"): START})
    ledger.stage, ledger.rfm = Stage("activated", START), IssuedRfm(5, 1, 3, 1)
    ledger.risk, ledger.risk_version, ledger.risk_at = 0.61234, 1, START + 2 * DAY
    message = SentMessage("x1", "cool", "email", "marketing", START, "You left 1 item", "cool: cart left", "suppressed")
    ledger.sent = [message, msgspec.structs.replace(message, outcome="", because="bounce", detail="550")]
    ledger.fired = {"cool": START + DAY}
    ledger.withheld = [
        Withheld("cool", "email", "cooldown", START + 2 * DAY),
        Withheld("cool", "email", "template_error", START + 2 * DAY, "text.liquid:3"),
    ]
    ledger.pending = [Pending("cool", b"{}", START + 4 * DAY, START + 5 * DAY, detail="text.liquid:3")]
    ledger.pending.append(Pending("cool", b"{}", START + 4 * DAY, START + 5 * DAY))
    ledger.timers = [Timer(START + HOUR, "assess")]
    version, kept = version_of(parse_journey(_TRIAL, "")), {"workspace": "w1"}
    run = Run("5e8a7a9a4ac5a2a4", "trial", version, START, '"w1"', kept, arrived_at=START, until=START + DAY)
    gone = Run("5e8a7a9a4ac5a2a5", "trial", "0", START, outcomes={"hello": "sent"}, held_since=START)
    ledger.runs, ledger.marks = UserRuns((run, gone)), {"onboarded": "yes"}
    links = {"anonymous:a1": IdentityLink(START, "m1", "merge:1", START, "merged", 2, 7)}
    links["anonymous:a2"] = IdentityLink(START, "m2")
    links["anonymous:a3"] = IdentityLink(START, "m3", split=LinkSplit("s1", START, START + DAY, 7))
    customer.identity = ProfileIdentity(links=links, conflicts=[IdentityConflict("bob", START, "known_to_known")])
    return customer


def fields(found: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return the fields of several answers, each with the kinds of its values.

    A field of an object in a list is ``list[].field``. Keys that are data are written in capital letters.
    """
    kinds: dict[str, set[str]] = {}
    for answer in found:
        for path, kind in _walk("", answer):
            kinds.setdefault(path, set()).add(kind)
    return {path: " or ".join(sorted(of, key=_null_last)) for path, of in sorted(kinds.items())}


def _walk(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if path in _ANY:
        yield path, "any value"
    elif isinstance(value, dict):
        if path:
            yield path, "object"
        for key, inner in value.items():
            name = str(NAMED.get(path, key))
            yield from _walk(f"{path}.{name}" if path else name, inner)
    elif isinstance(value, list):
        yield path, "list"
        for inner in value:
            yield from _walk(f"{path}[]", inner)
    else:
        yield path, _kind(value)


def _null_last(kind: str) -> tuple[bool, str]:
    return kind == "null", kind


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "time" if _TIME.fullmatch(value) else "text"
    return {type(None): "null", bool: "flag", int: "integer", float: "number"}[type(value)]


class FieldsRemoved(PerennialError):
    """Fields that were promised are not there any more."""


def main() -> None:
    """Add new fields to the promised ones.

    Raises
    ------
    FieldsRemoved
        A promised field is missing, or has values of another kind.
    """
    promised, present = json.loads(PATH.read_text(encoding="utf-8")), fields(answers())
    removed = {path: kind for path, kind in promised.items() if present.get(path) != kind}
    if removed:
        raise FieldsRemoved(f"a later release removes no field: {removed}")
    PATH.write_text(json.dumps(present, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
