"""Record which functions of the project a piece of work enters, in all threads of the process."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from tests.support.paths import ROOT

PACKAGES = ("agents", "models", "monitoring", "stream")


class Trace:
    """Functions that were entered while the trace was recording, each once, in the order of their first call.

    Attributes
    ----------
    functions
        ``path:qualified name``, for example ``models/fold/step.py:step_event``.
    recording
        Whether calls are recorded. Install the trace before any thread starts, because it does not see earlier threads.
        Then set this only during the work of interest.
    """

    def __init__(self) -> None:
        self.functions: dict[str, None] = {}
        self.recording = False

    @property
    def modules(self) -> list[str]:
        """Paths of the modules that were entered, in the order of their first call."""
        return list(dict.fromkeys(function.partition(":")[0] for function in self.functions))

    def note(self, frame: FrameType, event: str, _: Any) -> None:
        """Record a call; this is the function for ``sys.setprofile``."""
        if not self.recording or event != "call":
            return
        path = frame.f_code.co_filename
        if path.startswith(_FOLDERS):
            self.functions.setdefault(f"{path[len(str(ROOT)) + 1 :]}:{frame.f_code.co_qualname}")


_FOLDERS = tuple(f"{ROOT / package}/" for package in PACKAGES)


@contextmanager
def tracing() -> Iterator[Trace]:
    """Install a trace in this thread and in threads that start from now on; remove it at the end."""
    trace = Trace()
    threading.setprofile(trace.note)
    sys.setprofile(trace.note)
    try:
        yield trace
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
