"""The command line: one table of commands, each loaded only when it is called."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from stream.cli.output import guarded, print_error

PROCESSES = "Processes (run until Ctrl-C)"
ACTIONS = "Actions"
SETTING_UP = "Setting up"


class Entry(NamedTuple):
    """One command.

    Attributes
    ----------
    module, attribute
        Where its function, or its ``typer.Typer`` with commands of its own, stands.
    help
        One line.
    panel
        Its place in ``perennial --help``.
    """

    module: str
    attribute: str
    help: str
    panel: str


COMMANDS: dict[str, Entry] = {
    "up": Entry("stream.cli.up", "up", "Run broker, worker, retrainer and HTTP door together.", PROCESSES),
    "broker": Entry("stream.cli.broker", "broker", "Run the embedded broker.", PROCESSES),
    "worker": Entry("stream.cli.worker", "worker", "Run fold, delivery and learners, supervised.", PROCESSES),
    "retrainer": Entry("stream.cli.retrainer", "retrainer", "Train the recommender on what was touched.", PROCESSES),
    "collector": Entry("stream.cli.collector", "collector", "Run the HTTP door.", PROCESSES),
    "console": Entry("stream.cli.console", "console", "Watch and steer in the browser.", PROCESSES),
    "demo": Entry("stream.cli.demo", "demo", "Watch a simulated shop run through everything.", ACTIONS),
    "send": Entry("stream.cli.send", "send", "Send an event, or one a line from standard input.", ACTIONS),
    "user": Entry("stream.cli.user", "user", "Show a user: profile, scores with reasons, messages.", ACTIONS),
    "recommend": Entry("stream.cli.recommend", "recommend", "Recommend items to a user.", ACTIONS),
    "preview": Entry("stream.cli.preview", "preview", "Show a template as a user would get it.", ACTIONS),
    "pause": Entry("stream.cli.pause", "pause", "Stop a channel: what waits goes on waiting.", ACTIONS),
    "resume": Entry("stream.cli.pause", "resume", "Let a paused channel go on.", ACTIONS),
    "suppressions": Entry(
        "stream.cli.suppressions", "app", "List, add, remove, import addresses that get no messages.", ACTIONS
    ),
    "simulate": Entry("stream.cli.simulate", "simulate", "Feed a simulated shop into a log.", ACTIONS),
    "replay": Entry("stream.cli.replay", "replay", "Feed recorded events into a log.", ACTIONS),
    "rebuild": Entry("stream.cli.rebuild", "rebuild", "Recompute all profiles' facts from the log.", ACTIONS),
    "dlq": Entry("stream.cli.dlq", "app", "List, show and replay what was rejected.", ACTIONS),
    "import": Entry("stream.cli.import_", "app", "Bring in the catalogue.", ACTIONS),
    "evaluate": Entry("stream.cli.evaluate", "evaluate", "Measure the models on recorded events.", ACTIONS),
    "bench": Entry("stream.cli.bench", "bench", "Measure on this machine, beside the peers.", ACTIONS),
    "init": Entry("stream.cli.init", "init", "Write a commented perennial.yaml with templates.", SETTING_UP),
    "check": Entry("stream.cli.check", "check", "Check settings, templates, broker and topics.", SETTING_UP),
    "apply": Entry("stream.cli.apply", "apply", "Put rules and caps of the file into use.", SETTING_UP),
    "token": Entry("stream.cli.token", "app", "Make tokens for reading users over HTTP.", SETTING_UP),
    "config": Entry("stream.cli.config", "app", "Show the settings and where each comes from.", SETTING_UP),
    "topics": Entry("stream.cli.topics", "app", "Create, list or check the topics.", SETTING_UP),
}
"""Every command there is. One whose module does not exist yet is not shown."""


class _LazyGroup(TyperGroup):
    """Loads the module of a command when it is called; help needs only the table."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name the commands that are there, in the table's order."""
        del ctx
        return [name for name, entry in COMMANDS.items() if importlib.util.find_spec(entry.module) is not None]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Stand in for a command in the help."""
        del ctx
        entry = COMMANDS.get(cmd_name)
        if entry is None or importlib.util.find_spec(entry.module) is None:
            return None
        return TyperCommand(cmd_name, help=entry.help, rich_help_panel=entry.panel)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Load the command that was called."""
        self.commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}  # for suggestions
        name, _, rest = super().resolve_command(ctx, args)
        return name, load(str(name)), rest


def load(name: str) -> Any:
    """Load a command; raises ``KeyError`` where the table has none of that name."""
    entry = COMMANDS[name]
    found = getattr(importlib.import_module(entry.module), entry.attribute)
    command: Any
    if isinstance(found, typer.Typer):
        command = typer.main.get_group(found)  # also where it has one command: `import items FILE`
    else:
        single = typer.Typer(add_completion=False)
        single.command(name)(found)
        command = typer.main.get_command(single)
    command.name = name
    return command


app = typer.Typer(
    cls=_LazyGroup,
    help="Perennial: a self-hosted, real-time user-operations engine on Kafka.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"perennial {version('perennial')}")
        raise typer.Exit


@app.callback()
def _perennial(
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """Perennial: a self-hosted, real-time user-operations engine on Kafka."""


def shadowed() -> str | None:
    """Say which of our packages another distribution hides, if any.

    ``agents`` and ``models`` are common names: whatever stands earlier on the path wins, and would fail much later.
    """
    import stream

    home = Path(str(stream.__file__)).parent.parent
    for name in ("models", "agents", "monitoring"):
        spec = importlib.util.find_spec(name)
        origin = None if spec is None or spec.origin is None else Path(spec.origin)
        if origin is None or origin.parent != home / name:
            found = "is missing" if origin is None else f"comes from {origin}"
            return (
                f"the package {name!r} {found}, not from {home / name}: another distribution hides it; "
                "install Perennial into an environment of its own"
            )
    return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    hidden = shadowed()
    if hidden is not None:
        print_error(hidden)
        return 2
    # Before numpy is loaded: our products are small, and on a busy machine waiting for the threads of one cost a
    # recommendation 100 ms at p99, against 1 ms with one thread. (torch has its own setting.)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # What a client library has to say about a broker that is away, the command says in one line.
    for library in ("kafka", "aiokafka"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    return guarded(lambda: _run(None if arguments is None else list(arguments)))


def _run(arguments: list[str] | None) -> int:
    try:
        code = typer.main.get_command(app).main(arguments, prog_name="perennial", standalone_mode=False)
    except typer.TyperException as error:
        return _usage_error(error)
    except typer.Abort:
        print_error("stopped")
        return 130
    return code if isinstance(code, int) else 0


def _usage_error(error: Any) -> int:
    ctx = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":  # the help is its message, and has been printed
        return 0
    where = f" ({ctx.command_path} --help)" if ctx is not None else ""
    # what pydantic puts before a choice's own words says nothing
    print_error(f"{error.format_message().replace('Value error, ', '')}{where}")
    return int(error.exit_code)
