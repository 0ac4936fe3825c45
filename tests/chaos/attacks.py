"""Invalid and malicious records for ``events.in``, with a few valid ones between them.

Each kind makes a key and a value from a random generator alone, so a run can be repeated from its seed. A changed
record may still be valid. Then the record must be folded.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, NamedTuple

import msgspec
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from models.log import Instruction, Tick, Use, encode_control, opening
from models.wire.native import TYPES

NOW = 1_790_000_000_000
USERS = 2_000
LARGEST_BYTES = 5_000_000
"""Size of the largest record, bytes; Kafka refuses it with its default settings."""


class Hostile(NamedTuple):
    """One record.

    Attributes
    ----------
    kind
        Kind of the attack.
    key, value
        Key and value of the record in ``events.in``.
    """

    kind: str
    key: bytes | None
    value: bytes | None


Random = random.Random
Maker = Callable[[Random, int], bytes | None]

_KEYS = (None, None, b"", b"k", b"\x00tick", b"\x00use", b"\x00clock", b"\x00position", b"\xff\xfe", b"u" * 2_000)
_NAMES = (
    *("type", "user", "userId", "anonymousId", "id", "messageId", "at", "timestamp", "sentAt", "receivedAt", "origin"),
    *(
        "event",
        "properties",
        "traits",
        "context",
        "item",
        "category",
        "price",
        "quantity",
        "currency",
        "lines",
        "amount",
    ),
    *("order", "rating", "text", "channel", "granted", "reason", "name", "groupId", "previousId", "forced", "control"),
)
_ODD: tuple[Any, ...] = (
    *("", " ", "\x00", "\x7f", "\u202e", "\ufeff", "\U0001f600" * 60, "ß" * 201, "\u0000tick", "a" * 10_001, "null"),
    *(0, -1, 1, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, 0.1, -0.0, 1e308, 5e-324, True, False, None, [], {}, [[]]),
    *([None], {"": None}, {"consent": True}, [{}], [{"item": 5}], [{"item": "a", "quantity": 10**9}], "9999-12-31"),
    *("2026-02-30T00:00:00Z", "2026-09-21T14:13:20", 1_790_000_000, NOW * 1_000, -NOW, "click", "email", "live"),
)
_NUMBERS = (
    *(b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e400", b"9" * 400, b"9" * 5_000, b"0x10", b"1.", b".5", b"01"),
    *(b"0." + b"0" * 300 + b"1", b"-0", b"1e-400", b"1E+308", b"18446744073709551616", b"-9223372036854775809"),
)
_EVENTS = ("Product Viewed", "Order Completed", "Order Refunded", "Product Reviewed", "Consent Given", "Unsubscribed")


def good(rng: Random, number: int) -> bytes:
    """Return a valid record in one of the two forms."""
    user, item = f"u{rng.randrange(USERS)}", f"sku{rng.randrange(500)}"
    at = NOW + number * 100 - rng.randrange(3_600_000)
    if rng.random() < 0.5:
        kind = rng.choice(TYPES)
        said: dict[str, Any] = {"type": kind, "user": user, "id": f"m{number}", "at": at}
        more: dict[str, dict[str, Any]] = {
            "purchase": {"order": f"o{number}", "lines": [{"item": item, "quantity": 2, "price": 9.99}]},
            "refund": {"order": f"o{number}", "amount": "3.50", "currency": "EUR"},
            "rating": {"rating": rng.randrange(1, 6), "item": item, "text": "sehr schön"},
            "support_message": {"text": "Où est ma commande ?"},
            "identify": {"traits": {"email": f"{user}@example.org", "firstName": "Ada", "timezone": "Asia/Tokyo"}},
            "consent": {"granted": rng.random() < 0.8, "channel": "email"},
            "custom": {"name": "Trial Started", "properties": {"plan": "pro", "seats": [1, 2, {"a": None}]}},
            "page_view": {"name": "Home"},
        }
        said |= more.get(kind, {"item": item, "category": "lamps", "price": 12.5, "quantity": 1 + number % 3})
    else:
        said = {
            "type": "track",
            "event": rng.choice(_EVENTS),
            "userId": user,
            "messageId": f"m{number}",
            "timestamp": at,
            "sentAt": at + 5,
            "context": {"ip": "::1"},
            "properties": {
                "product_id": item,
                "price": 12.5,
                "quantity": 1,
                "currency": "EUR",
                "rating": 4,
                "order_id": f"o{number}",
                "total": 25,
                "products": [{"product_id": item}],
                "channel": "email",
            },
        }
    return json.dumps(said, ensure_ascii=rng.random() < 0.5).encode()


def bytes_changed(rng: Random, number: int) -> bytes:
    """Change a valid record: flip, cut, double or insert a few bytes."""
    value = bytearray(good(rng, number))
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        place = rng.randrange(len(value) + 1)
        deed = rng.randrange(5)
        if deed == 0 and place < len(value):
            value[place] ^= 1 << rng.randrange(8)
        elif deed == 1:
            del value[place : place + rng.randrange(1, 9)]
        elif deed == 2:
            value[place:place] = rng.randbytes(rng.randrange(1, 5))
        elif deed == 3:
            value[place:place] = value[place : place + rng.randrange(1, 30)]
        else:
            value[place:place] = rng.choice(
                (b'"', b"{", b"}", b"[", b",", b"\\u0000", b"\\ud800", b"null", b"1e999", b"-")
            )
    return bytes(value)


def spliced(rng: Random, number: int) -> bytes:
    """Join the beginning of one record and the end of another."""
    one, other = good(rng, number), good(rng, number)
    return one[: rng.randrange(len(one))] + other[rng.randrange(len(other)) :]


def cut(rng: Random, number: int) -> bytes:
    """Cut off the end of a valid record, possibly in the middle of a character."""
    value = good(rng, number)
    return value[: rng.randrange(len(value))]


def fields_changed(rng: Random, number: int) -> bytes:
    """Put odd values into known fields of a valid record, at any depth."""
    said = json.loads(good(rng, number))
    for _ in range(rng.randrange(1, 4)):
        inside = said
        if isinstance(said.get("properties"), dict) and rng.random() < 0.4:
            inside = said["properties"]
        inside[rng.choice(_NAMES)] = deepcopy(rng.choice(_ODD))
    return json.dumps(said).encode()


def garbage(rng: Random, number: int) -> bytes:
    """Return bytes that were never a record."""
    return rng.randbytes(rng.choice((1, 2, 7, 40, 300, 3_000)))


def deep(rng: Random, number: int) -> bytes:
    """Return objects or lists that are nested very deeply, with or without their closing brackets."""
    levels = rng.choice((7, 8, 9, 200, 1_000, 20_000))
    opened, closed = rng.choice(((b'{"a":', b"}"), (b"[", b"]")))
    inner = opened * levels + b"1" + closed * rng.choice((levels, levels, levels - 1))
    return b'{"type":"custom","user":"u1","name":"n","properties":{"a":%b}}' % inner


def numbers(rng: Random, number: int) -> bytes:
    """Return a record with numbers that are too large for our types, or with something that is not a number."""
    written = rng.choice(_NUMBERS)
    name = rng.choice((b"amount", b"at", b"quantity", b"price", b"rating"))
    kind = {b"amount": b"purchase", b"rating": b"rating"}.get(name, b"cart_add")
    return b'{"type":"%b","user":"u%d","item":"a","%b":%b}' % (kind, number % USERS, name, written)


def surrogates(rng: Random, number: int) -> bytes:
    """Put halves of surrogate pairs into any place, escaped or raw."""
    half = rng.choice((b"\\ud800", b"\\udfff", b"\\ud800\\ud800", b"\xed\xa0\x80", b"\\udc00\\ud800", b"\xf0\x9f\x98"))
    said = [b'"type":"custom"', b'"user":"u1"', b'"name":"n"', b'"id":"m%d"' % number, b'"properties":{"a":"b"}']
    place = rng.randrange(len(said))
    said[place] = said[place][:-2] + half + said[place][-2:] if rng.random() < 0.7 else b'"%b":1' % half
    return b"{" + b",".join(said) + b"}"


def twice(rng: Random, number: int) -> bytes:
    """Repeat the same field several times, with different values."""
    value = good(rng, number)
    more = b",".join(
        b'"%b":%b' % (rng.choice(_NAMES).encode(), json.dumps(rng.choice(_ODD)).encode())
        for _ in range(rng.randrange(1, 4))
    )
    return b"{" + more + b"," + value[1:]


def large(rng: Random, number: int) -> bytes:
    """Return a record that is too large: random bytes, or a valid record with one long text."""
    size = rng.choice((131_072, 131_073, 200_000, 1_000_000, LARGEST_BYTES))
    if rng.random() < 0.5:
        return rng.randbytes(1) * size
    head = b'{"type":"custom","user":"u1","name":"n","properties":{"a":"'
    return head + b"x" * max(0, size - len(head) - 3) + b'"}}'


def forged(rng: Random, number: int) -> bytes:
    """Write what only the engine may write: control records, reports, and users named like the lane's keys."""
    controls = (
        opening("feeder"),
        Tick(at=NOW * 2),
        Instruction("pause", "email"),
        Use("configuration", 10**9, msgspec.Raw(b"{}")),
    )
    if rng.random() < 0.5:
        return encode_control(rng.choice(controls))[1]
    kind = rng.choice(("message_sent", "message_bounced", "message_opened", "click", "tick", "use"))
    said = {"type": kind, "item": "a", "forced": True, "message": "m1", "origin": rng.choice(("live", "test", "root"))}
    user = rng.choice(("\x00tick", "\x00position", "\x00use:configuration", "u1", "anonymous:", "anonymous:a"))
    return json.dumps({"user": user} | {name: said[name] for name in said if rng.random() < 0.7}).encode()


def out_of_time(rng: Random, number: int) -> bytes:
    """Return a valid record whose time is days away, or whose ``sentAt`` comes from a wrong clock."""
    said = json.loads(good(rng, number))
    name = "timestamp" if "userId" in said else "at"
    said[rng.choice((name, name, "sentAt" if "userId" in said else name))] = NOW + rng.randrange(-9, 9) * 86_400_000
    return json.dumps(said).encode()


def nothing(rng: Random, number: int) -> bytes | None:
    """Return no value, or an almost empty one."""
    return rng.choice((None, b"", b" ", b"null", b"0", b'""', b"[]", b"{}", b"\xef\xbb\xbf{}", b"true"))


def repeated(rng: Random, number: int) -> bytes:
    """Repeat one of a few valid records."""
    return good(Random(rng.randrange(50)), number % 50)


KINDS: dict[str, tuple[int, Maker]] = {
    "good": (50, good),
    "bytes changed": (300, bytes_changed),
    "fields changed": (250, fields_changed),
    "spliced": (80, spliced),
    "cut": (80, cut),
    "twice the same field": (60, twice),
    "numbers": (40, numbers),
    "halves of characters": (40, surrogates),
    "forged": (40, forged),
    "garbage": (20, garbage),
    "out of time": (20, out_of_time),
    "nothing": (10, nothing),
    "repeated": (10, repeated),
    "deep": (4, deep),
    "large": (1, large),
}
"""Weight and maker of each kind."""

HYPOTHESIS_SHARE = 50
"""Number of records for each one that hypothesis generates."""


def attack(records: int, seed_: int) -> Iterator[Hostile]:
    """Yield this many records; the same seed gives the same records."""
    found = invented(records // HYPOTHESIS_SHARE, seed_)
    yield from (Hostile("hypothesis", None, value) for value in found)
    rng = Random(seed_)
    kinds = list(KINDS)
    weights = [weight for weight, _ in KINDS.values()]
    for number, kind in enumerate(rng.choices(kinds, weights, k=records - len(found))):
        yield Hostile(kind, rng.choice(_KEYS), KINDS[kind][1](rng, number))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
_likely = st.sampled_from([value for value in _ODD if isinstance(value, str | int | float | None)]) | st.sampled_from(
    ["u1", "track", "identify", "page", "purchase", "custom", *_EVENTS, NOW, "2.55", "EUR"]
)
_records = (
    st.dictionaries(st.sampled_from(_NAMES), _likely | _json, max_size=8)
    | st.fixed_dictionaries(
        {"type": st.sampled_from(TYPES), "user": st.sampled_from(["u1", "u2"])},
        optional={name: _likely | _json for name in _NAMES if name not in ("type", "user", "userId", "anonymousId")},
    )
    | _json
)


def invented(count: int, seed_: int) -> list[bytes]:
    """Return records that hypothesis generates from the known fields."""
    found: list[bytes] = []
    if not count:
        return found

    @seed(seed_)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.binary(max_size=60) | _records.map(lambda said: json.dumps(said).encode()))
    def collect(value: bytes) -> None:
        found.append(value)

    collect()
    return found[:count]
