"""Child processes that never outlive their parent, even if the parent is killed with ``kill -9``.

On Linux the kernel kills the child when its parent ends (``PR_SET_PDEATHSIG``). Elsewhere a small guard process runs
between parent and child. It watches a pipe whose other end only the parent has.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TypeVar

from models.errors import PerennialError

# The child begins as a Python interpreter, which asks for PR_SET_PDEATHSIG and then becomes the program (exec). A
# preexec_fn would save the interpreter's 20 ms. But it may deadlock in a process with threads, and all our processes
# have threads. The parent may end before the child has asked. Therefore the child checks getppid afterwards.
_EXEC = """
import ctypes, os, signal, sys
if ctypes.CDLL(None, use_errno=True).prctl(1, int(signal.SIGKILL)) != 0:
    sys.exit("prctl(PR_SET_PDEATHSIG): " + os.strerror(ctypes.get_errno()))
if os.getppid() != int(sys.argv[1]):
    os._exit(113)
os.execv(sys.argv[2], sys.argv[2:])
"""

# The guard leads a separate process group, with the program in it. When the pipe ends, the whole group is killed.
_GUARD = """
import os, signal, subprocess, sys, threading
pipe, asked, child = int(sys.argv[1]), [], None
passed = [int(number) for number in sys.argv[2].split(",") if number]
def forward(number, _frame):
    asked.append(number)
    if child is not None and child.poll() is None:
        child.send_signal(number)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, forward)
def watch():
    os.read(pipe, 1)
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=watch, daemon=True).start()
child = subprocess.Popen(sys.argv[3:], pass_fds=passed)
for number in asked:
    child.send_signal(number)
code = child.wait()
if code < 0:
    signal.signal(-code, signal.SIG_DFL) if -code not in (9, 19) else None
    os.kill(os.getpid(), -code)
os._exit(code)
"""

KERNEL_KILLS_ORPHANS = sys.platform == "linux"

_T = TypeVar("_T")
_spawner: ThreadPoolExecutor | None = None
_spawner_lock = threading.Lock()


class ProgramMissing(PerennialError):
    """A program to start that does not exist: install it, or correct its path.

    Parameters
    ----------
    program
        Name or path that was looked for.
    """

    def __init__(self, program: str) -> None:
        self.program = program
        super().__init__(f"{program}: no such program, or it is not executable")


def _from_lasting_thread(act: Callable[[], _T]) -> _T:
    """Run ``act`` in a thread that lives as long as this process.

    PR_SET_PDEATHSIG is bound to the *thread* that forked. A child that a thread of a pool started would be killed
    when that pool shrinks.
    """
    if threading.current_thread() is threading.main_thread():
        return act()
    global _spawner  # noqa: PLW0603 - a process has one, and it must outlive the thread that asked first
    with _spawner_lock:
        if _spawner is None:
            _spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")
        spawner = _spawner
    return spawner.submit(act).result()


class Child:
    """A started program in a separate process group; it ends when its parent ends.

    Because of the group, Ctrl-C in a terminal reaches only the parent, which then stops its children.

    Parameters
    ----------
    argv
        Program and arguments; the program is a path, or is found on the PATH.
    env
        Variables that are added to this process's environment.
    output
        File for its standard output and error; ``None`` takes those of this process.
    pass_fds
        Open files that the program inherits.
    guarded
        Whether to use the guard process instead of the kernel (the only way outside Linux).

    Raises
    ------
    ProgramMissing
        There is no such program.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        output: IO[bytes] | None = None,
        pass_fds: Sequence[int] = (),
        guarded: bool = not KERNEL_KILLS_ORPHANS,
    ) -> None:
        found = shutil.which(argv[0])
        if found is None:
            raise ProgramMissing(argv[0])
        self.argv = (str(Path(found).absolute()), *argv[1:])
        self._pipe: int | None = None
        kept: tuple[int, ...] = ()
        if guarded:
            read_end, self._pipe = os.pipe()
            kept = (read_end,)
            passed = ",".join(map(str, pass_fds))
            wrapped = [sys.executable, "-I", "-S", "-c", _GUARD, str(read_end), passed, *self.argv]
        else:
            wrapped = [sys.executable, "-I", "-S", "-c", _EXEC, str(os.getpid()), *self.argv]

        def spawn() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                wrapped,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
                env=None if env is None else {**os.environ, **env},
                pass_fds=(*kept, *pass_fds),
                process_group=0,
            )

        try:
            self._process = _from_lasting_thread(spawn)
        except BaseException:
            self._close_pipe()
            raise
        finally:
            for descriptor in kept:
                os.close(descriptor)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.argv}, pid={self.pid})"

    @property
    def pid(self) -> int:
        """Process id (the guard's, if there is one)."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; ``None`` while the program runs."""
        return self._ended(self._process.poll())

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code; raise ``subprocess.TimeoutExpired`` after ``timeout`` seconds."""
        code = self._process.wait(timeout)
        self._ended(code)
        return code

    def signal(self, number: int) -> None:
        """Send a signal, unless the program has ended."""
        if self._process.poll() is None:
            self._process.send_signal(number)

    def kill(self) -> int:
        """Kill the program and its process group, and return the exit code."""
        if self._process.poll() is None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:  # the child is not in a separate group yet
                self._process.kill()
        return self.wait()

    def stop(self, within: float) -> int:
        """Ask the program to end, kill it after ``within`` seconds, and return the exit code."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait(within)
        except subprocess.TimeoutExpired:
            return self.kill()

    def _ended(self, code: int | None) -> int | None:
        if code is not None:
            self._close_pipe()
        return code

    def _close_pipe(self) -> None:
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            os.close(pipe)


def exit_reason(code: int) -> str:
    """Describe an exit code in words.

    Examples
    --------
    >>> exit_reason(1)
    'exit code 1'
    >>> exit_reason(-9)
    'killed by SIGKILL'
    """
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
