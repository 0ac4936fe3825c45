"""Reasons for which delivery sends nothing. While there is one, messages wait, and ``/ready`` reports it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from models.events import CHANNELS, Channel
from monitoring import metrics

logger = logging.getLogger(__name__)

LOG_EVERY_S = 60.0
"""Time that must pass before a reason is logged again, seconds. On a busy machine some reasons begin and end often."""


class Holds:
    """Named reasons to hold the messages of a process, shared by the dispatchers of all its channels.

    A reason holds all channels, or one. A dispatcher gives no call slot while there is a reason for its channel. A call
    that has already begun ends as usual. A reason is logged when it begins and when it ends, at most once a minute.

    Parameters
    ----------
    clock
        Returns the seconds of a clock that never goes back.

    Examples
    --------
    >>> holds = Holds()
    >>> holds.set("delivery.public_url", "http.public_url is not set")
    >>> holds.reasons("email")
    {'delivery.public_url': 'http.public_url is not set'}
    >>> holds.clear("delivery.public_url")
    >>> holds.reasons()
    {}
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logged: dict[str, tuple[str, float]] = {}
        self._in_the_log: set[str] = set()
        self._reasons: dict[str, tuple[str, Channel | None]] = {}
        self._listeners: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<Holds {', '.join(self._reasons) or 'nothing'}>"

    def reasons(self, channel: Channel | None = None) -> dict[str, str]:
        """Return name and words of each reason that holds ``channel``; by default, all reasons."""
        return {
            name: words
            for name, (words, held) in self._reasons.items()
            if channel is None or held is None or held == channel
        }

    def holds(self, channel: Channel) -> bool:
        """Return whether a channel's messages wait."""
        return any(held is None or held == channel for _, held in self._reasons.values())

    def set(self, name: str, words: str, channel: Channel | None = None) -> None:
        """Hold messages for a reason.

        Parameters
        ----------
        name
            Stable name of the reason. Setting it again replaces its words and channel.
        words
            A sentence for people: the problem and the remedy.
        channel
            The only channel that is held; ``None`` holds all channels.
        """
        before = self._reasons.get(name)
        if before == (words, channel):
            return
        if before is not None:
            self._show(name, before[1], 0.0)
        self._reasons[name] = (words, channel)
        self._show(name, channel, 1.0)
        self._log_begin(name, words, channel)
        self._notify()

    def clear(self, name: str) -> None:
        """Remove a reason; do nothing if there is none of that name."""
        before = self._reasons.pop(name, None)
        if before is None:
            return
        self._show(name, before[1], 0.0)
        if name in self._in_the_log:
            self._in_the_log.discard(name)
            logger.warning("%s: messages are no longer held because of %s", before[1] or "all channels", name)
        self._notify()

    def replace(self, prefix: str, found: Mapping[str, tuple[str, Channel | None]]) -> None:
        """Replace all reasons whose names begin with ``prefix`` by ``found``, which maps names to words and channel."""
        for name in [name for name in self._reasons if name.startswith(prefix) and name not in found]:
            self.clear(name)
        for name, (words, channel) in found.items():
            self.set(name, words, channel)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after each change of the reasons."""
        self._listeners.append(listener)

    def _log_begin(self, name: str, words: str, channel: Channel | None) -> None:
        now, (last_words, at) = self._clock(), self._logged.get(name, ("", 0.0))
        if words != last_words or now - at >= LOG_EVERY_S:
            self._logged[name] = words, now
            self._in_the_log.add(name)
            logger.warning("%s: messages are held: %s (%s)", channel or "all channels", words, name)

    def _notify(self) -> None:
        for listener in self._listeners:
            listener()

    def _show(self, name: str, channel: Channel | None, value: float) -> None:
        for shown in CHANNELS if channel is None else (channel,):
            metrics.gauge("delivery_held", value, shown, name)
