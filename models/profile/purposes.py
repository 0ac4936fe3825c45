"""Consent by purpose and channel.

A channel's own entry is the state of the purpose ``marketing``, as in states from before there were purposes. Another
purpose has an entry ``purpose@channel``. A withdrawal without a purpose is about all purposes. It changes each entry of
its channel, and its time stays in the channel's entry: a purpose without an entry begins with this withdrawal. So an
older grant of that purpose does not count, even if it is read later.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import cast

import msgspec

from models.events import FIRST_CHANNELS, MARKETING, Channel
from models.profile import consents
from models.profile.consents import NO_PROOF, ConsentProof
from models.profile.state import UNKNOWN_TIME, Consent

MAX_PURPOSES = 16
"""Maximum number of purposes per user, ``marketing`` included."""
LEVEL = 2
"""Format level of a log from which on there are other purposes than ``marketing``."""


def channels_at(level: int, channels: Sequence[Channel]) -> tuple[Channel, ...]:
    """Return those of some channels that a format level can store.

    Examples
    --------
    >>> channels_at(1, ("email", "push")), channels_at(2, ("email", "push"))
    (('email',), ('email', 'push'))
    """
    return tuple(one for one in channels if level >= LEVEL or one in FIRST_CHANNELS)


def is_implied(consent: Mapping[str, Consent], channel: Channel, channels: Collection[Channel]) -> bool:
    """Return whether the entries of other channels imply a withdrawal of everything, so that this one needs no entry.

    Without an entry, nothing was granted there. An older grant that is read later finds the withdrawal in the entries
    of the channels of level 1. So the states of users who never named the channel stay as they are.

    Examples
    --------
    >>> is_implied({}, "push", ("email", "sms", "push")), is_implied({}, "push", ("push",))
    (True, False)
    >>> is_implied(grant({}, "news", "push", 10), "push", ("email", "sms", "push"))
    False
    """
    if channel in FIRST_CHANNELS or not set(FIRST_CHANNELS) <= set(channels):
        return False
    return not any(parts_of(key)[1] == channel for key in consent)


def key_of(purpose: str, channel: str) -> str:
    """Return the name of the entry of a purpose and a channel.

    Examples
    --------
    >>> key_of("marketing", "email"), key_of("news", "email")
    ('email', 'news@email')
    """
    return channel if purpose == MARKETING else f"{purpose}@{channel}"


def parts_of(key: str) -> tuple[str, str]:
    """Return purpose and channel of an entry.

    Examples
    --------
    >>> parts_of("email"), parts_of("news@email")
    (('marketing', 'email'), ('news', 'email'))
    """
    purpose, _, channel = key.rpartition("@")
    return purpose or MARKETING, channel


def purposes_of(consent: Mapping[str, Consent]) -> set[str]:
    """Return the purposes that have an entry, and ``marketing``."""
    return {MARKETING, *(parts_of(key)[0] for key in consent)}


def has_room(consent: Mapping[str, Consent], purpose: str) -> bool:
    """Return whether a user may have an entry of this purpose."""
    known = purposes_of(consent)
    return purpose in known or len(known) < MAX_PURPOSES


def state_of(consent: Mapping[str, Consent], purpose: str, channel: str) -> Consent | None:
    """Return the state of a purpose and a channel; ``None`` if no statement is known.

    Examples
    --------
    >>> consent = withdraw_all({}, "email", 30)
    >>> state_of(consent, "news", "email").granted, state_of(consent, "news", "sms")
    (False, None)
    """
    known = consent.get(key_of(purpose, channel))
    if known is not None or purpose == MARKETING:
        return known
    base = consent.get(channel)
    is_uncertain = base is not None and base.everything == UNKNOWN_TIME and base.granted
    return None if is_uncertain else _beginning(base)


def withdraw_all(
    consent: Mapping[str, Consent], channel: str, at: int, proof: ConsentProof = NO_PROOF, level: int = LEVEL
) -> dict[str, Consent]:
    """Return the entries after a withdrawal of all purposes of a channel.

    Parameters
    ----------
    consent
        The entries before.
    channel, at, proof
        The channel, the time of the withdrawal in milliseconds, and its proof.
    level
        The format level in use. At the first one the withdrawal is stored as that of marketing, the only purpose.
    """
    known, changed = consent.get(channel), dict(consent)
    for key in _beside(consent, channel):
        changed[key] = consents.withdraw(consent[key], at, proof)
    everything = max(_withdrawn_until(known), at) if level >= LEVEL else UNKNOWN_TIME
    changed[channel] = msgspec.structs.replace(consents.withdraw(known, at, proof), everything=everything)
    return changed


def withdraw_one(
    consent: Mapping[str, Consent], purpose: str, channel: str, at: int, proof: ConsentProof = NO_PROOF
) -> dict[str, Consent]:
    """Return the entries after a withdrawal of one purpose; one for which there is no room withdraws all purposes.

    Examples
    --------
    >>> consent = grant(grant({}, "news", "email", 10), "marketing", "email", 10)
    >>> {key: state.granted for key, state in withdraw_one(consent, "news", "email", 20).items()}
    {'news@email': False, 'email': True}
    """
    if not has_room(consent, purpose):
        return withdraw_all(consent, channel, at, proof)
    key = key_of(purpose, channel)
    state = consents.withdraw(_present(consent, purpose, channel), at, proof)
    return {**consent, key: _kept(consent, key, state)}


def grant(
    consent: Mapping[str, Consent],
    purpose: str,
    channel: str,
    at: int,
    proof: ConsentProof = NO_PROOF,
    *,
    level: int = LEVEL,
) -> dict[str, Consent]:
    """Return the entries after a grant of one purpose, for which there is room.

    Examples
    --------
    >>> consent = withdraw_all({}, "email", 30)
    >>> [grant(consent, "news", "email", at)["news@email"].granted for at in (30, 31)]
    [False, True]
    """
    key = key_of(purpose, channel)
    state = consents.grant(_present(consent, purpose, channel), at, proof)
    return {**consent, key: _kept(consent, key, state, level)}


def permit(
    consent: Mapping[str, Consent], purpose: str, channel: str, at: int, proof: ConsentProof = NO_PROOF
) -> dict[str, Consent]:
    """Return the entries after the statement that the user is an existing customer."""
    key = key_of(purpose, channel)
    state = consents.permit(_present(consent, purpose, channel), at, proof)
    return {**consent, key: _kept(consent, key, state)}


def note_purchase(consent: dict[str, Consent], bought_at: int) -> dict[str, Consent]:
    """Return the entries after a purchase, on which the basis ``existing_customer`` depends."""
    if not any(state.basis and state.bought < bought_at for state in consent.values()):
        return consent
    replace = msgspec.structs.replace
    return {
        key: replace(state, bought=max(state.bought, bought_at)) if state.basis else state
        for key, state in consent.items()
    }


def join(one: Mapping[str, Consent], other: Mapping[str, Consent]) -> dict[str, Consent]:
    """Return the joint entries of two identities that turn out to be one person.

    A "no" of one identity is replaced only by a later grant of the other one. A withdrawal of all purposes is also one
    of the purposes that only the other identity has.
    """
    joint: dict[str, Consent] = {}
    for key in (*one, *(key for key in other if key not in one)):
        purpose, channel = parts_of(key)
        merged = consents.merge(_present(one, purpose, channel), _present(other, purpose, channel))
        assert merged is not None, "an entry of neither identity"
        if purpose == MARKETING:
            sides = [side[channel] for side in (one, other) if channel in side]
            if any(side.everything != UNKNOWN_TIME for side in sides):
                merged = msgspec.structs.replace(merged, everything=max(map(_withdrawn_until, sides)))
        joint[key] = merged
    return joint


def lost(before: Mapping[str, Consent], after: Mapping[str, Consent]) -> dict[str, list[Channel]]:
    """Return the channels on which a purpose was granted before, and is not any more, by the purpose."""
    found: dict[str, list[Channel]] = {}
    for key, state in before.items():
        purpose, channel = parts_of(key)
        now = state_of(after, purpose, channel)
        if state.granted and not (now is not None and now.granted):
            found.setdefault(purpose, []).append(cast("Channel", channel))
    return found


def _beside(consent: Mapping[str, Consent], channel: str) -> Iterator[str]:
    """Yield the entries of the other purposes of a channel."""
    return (key for key in consent if key != channel and parts_of(key)[1] == channel)


def _present(consent: Mapping[str, Consent], purpose: str, channel: str) -> Consent | None:
    """Return the entry of a purpose; without one, the newest withdrawal of all purposes, if there may be one."""
    known = consent.get(key_of(purpose, channel))
    if known is not None:
        return known
    if channel not in FIRST_CHANNELS and channel not in consent:
        # A withdrawal of everything has no entry here if nothing was known of the channel, see is_implied.
        until = min(_withdrawn_until(consent.get(one)) for one in FIRST_CHANNELS)
        return Consent(granted=False, at=until) if until > 0 else None
    return None if purpose == MARKETING else _beginning(consent.get(channel))


def _kept(consent: Mapping[str, Consent], key: str, state: Consent, level: int = LEVEL) -> Consent:
    """Return a new state of an entry; the entry of a channel keeps the time of the withdrawal of all purposes."""
    if parts_of(key)[0] != MARKETING or level < LEVEL:
        return state
    return msgspec.structs.replace(state, everything=_withdrawn_until(consent.get(key)))


def _beginning(base: Consent | None) -> Consent | None:
    """Return the state of a purpose without an entry, from the entry of its channel; ``None`` without a withdrawal."""
    at = _withdrawn_until(base)
    if base is None or at <= 0:
        return None
    if not base.granted and consents.event_time(base) == at:
        return msgspec.structs.replace(base, at=at, newest_grant=0, event_at=0, everything=UNKNOWN_TIME)
    return Consent(granted=False, at=at)


def _withdrawn_until(base: Consent | None) -> int:
    """Return the newest time of a withdrawal of all purposes, milliseconds; 0 if there was none.

    A state of the first level has no such time. There, each withdrawal was one of everything. If the answer is "yes",
    the last withdrawal was before it.
    """
    if base is None:
        return 0
    if base.everything != UNKNOWN_TIME:
        return base.everything
    return base.at - 1 if base.granted else base.at
