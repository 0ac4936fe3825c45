"""The command line: one table of commands, each loaded only when it is called.

This package may import every other package of ``stream``.
"""

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

from stream.cli.bench import checkout
from stream.cli.output import guarded, print_error

PROCESSES = "Processes (run until Ctrl-C)"
ACTIONS = "Actions"
SETTING_UP = "Setting up"


class CommandEntry(NamedTuple):
    """One command.

    Attributes
    ----------
    module, attribute
        Module that defines the command, and the command's name in that module. It is a function, or a ``typer.Typer``
        with several commands.
    help
        Description in one line.
    panel
        Heading under which ``perennial --help`` lists it.
    """

    module: str
    attribute: str
    help: str
    panel: str


COMMANDS: dict[str, CommandEntry] = {
    "up": CommandEntry("stream.cli.up", "up", "Run broker, worker, retrainer and HTTP door together.", PROCESSES),
    "broker": CommandEntry("stream.cli.broker", "broker", "Run the embedded broker.", PROCESSES),
    "worker": CommandEntry("stream.cli.worker", "worker", "Update users, send messages and learn models.", PROCESSES),
    "retrainer": CommandEntry(
        "stream.cli.retrainer", "retrainer", "Train the recommender on users' interactions.", PROCESSES
    ),
    "collector": CommandEntry("stream.cli.collector", "collector", "Run the HTTP door: it accepts events.", PROCESSES),
    "demo": CommandEntry("stream.cli.demo", "demo", "Run a simulated shop on this machine, and watch it.", ACTIONS),
    "send": CommandEntry("stream.cli.send", "send", "Send an event, or one per line of standard input.", ACTIONS),
    "user": CommandEntry("stream.cli.user", "user", "Show a user: profile, scores with reasons, messages.", ACTIONS),
    "identity": CommandEntry("stream.cli.identity", "app", "Show the ids of one person, or split them.", ACTIONS),
    "campaigns": CommandEntry(
        "stream.cli.campaigns", "app", "Start, pause and show campaigns: one message to an audience.", ACTIONS
    ),
    "journeys": CommandEntry("stream.cli.journeys", "app", "Show and test the journeys: runs, exits, goals.", ACTIONS),
    "report": CommandEntry("stream.cli.report", "app", "Show what was counted: stages, goals, lift.", ACTIONS),
    "segments": CommandEntry("stream.cli.segments", "app", "Show the segments by rule, or preview them.", ACTIONS),
    "recommend": CommandEntry("stream.cli.recommend", "recommend", "Recommend items to a user.", ACTIONS),
    "preview": CommandEntry("stream.cli.preview", "preview", "Show a template as a user would get it.", ACTIONS),
    "plan": CommandEntry("stream.cli.plan", "plan", "Show which messages the file would change.", ACTIONS),
    "forecast": CommandEntry("stream.cli.forecast", "forecast", "Show which messages go out next.", ACTIONS),
    "pause": CommandEntry("stream.cli.pause", "pause", "Send nothing over a channel until it is resumed.", ACTIONS),
    "resume": CommandEntry("stream.cli.pause", "resume", "Send over a paused channel again.", ACTIONS),
    "suppressions": CommandEntry(
        "stream.cli.suppressions", "app", "List, add, remove or import addresses that get no messages.", ACTIONS
    ),
    "simulate": CommandEntry(
        "stream.cli.simulate", "simulate", "Write events of a simulated shop into an empty log.", ACTIONS
    ),
    "replay": CommandEntry("stream.cli.replay", "replay", "Write recorded events into an empty log.", ACTIONS),
    "rebuild": CommandEntry("stream.cli.rebuild", "rebuild", "Recompute the facts of all users from the log.", ACTIONS),
    "dlq": CommandEntry("stream.cli.dlq", "app", "List, show or send again records that were refused.", ACTIONS),
    "import": CommandEntry("stream.cli.import_", "app", "Import items, people, consent or suppressions.", ACTIONS),
    "evaluate": CommandEntry("stream.cli.evaluate", "evaluate", "Measure the models on recorded data.", ACTIONS),
    "init": CommandEntry("stream.cli.init", "init", "Write a commented perennial.yaml with templates.", SETTING_UP),
    "check": CommandEntry("stream.cli.check", "check", "Check settings, templates, broker and topics.", SETTING_UP),
    "apply": CommandEntry("stream.cli.apply", "apply", "Put the rules and templates of the file into use.", SETTING_UP),
    "upgrade": CommandEntry("stream.cli.upgrade", "app", "Finish an upgrade, or show its progress.", SETTING_UP),
    "fmt": CommandEntry("stream.cli.fmt", "fmt", "Write the conditions of the file in canonical form.", SETTING_UP),
    "token": CommandEntry("stream.cli.token", "app", "Make tokens for reading users over HTTP.", SETTING_UP),
    "push": CommandEntry("stream.cli.push", "app", "Make and show the key for web push.", SETTING_UP),
    "config": CommandEntry("stream.cli.config", "app", "Show the settings and where each comes from.", SETTING_UP),
    "topics": CommandEntry("stream.cli.topics", "app", "Create, list or check the topics.", SETTING_UP),
}
"""Every command of the package, in the order of the help."""

BENCH = CommandEntry("stream.cli.bench", "app", "Run the benchmarks on this machine.", ACTIONS)
"""The command that only a checkout has, because the package contains no benchmarks."""


def commands() -> dict[str, CommandEntry]:
    """Return the commands of the package and, in a checkout, ``bench``."""
    return COMMANDS if checkout() is None else {**COMMANDS, "bench": BENCH}


class _LazyGroup(TyperGroup):
    """Group that loads the module of a command only when the command is called; the help needs only the table."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands, in the order of the help."""
        del ctx
        return list(commands())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a placeholder for a command, which is enough for the help."""
        del ctx
        entry = commands().get(cmd_name)
        return None if entry is None else TyperCommand(cmd_name, help=entry.help, rich_help_panel=entry.panel)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Load the command that was called."""
        self.commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}  # for suggestions
        name, _, rest = super().resolve_command(ctx, args)
        return name, load(str(name)), rest


def load(name: str) -> Any:
    """Load a command, and raise ``KeyError`` if no command has that name."""
    entry = commands()[name]
    found = getattr(importlib.import_module(entry.module), entry.attribute)
    command: Any
    if isinstance(found, typer.Typer):
        command = typer.main.get_command(found)
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
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run Perennial, a self-hosted, real-time user-operations engine on Kafka."""


def shadowed() -> str | None:
    """Return an error if another distribution hides one of our packages; ``None`` if all are ours.

    ``agents`` and ``models`` are common names. Another package with such a name, earlier on the import path, would hide
    ours. Then the command would fail later, with an error that does not name the cause.
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
                "install Perennial into a separate environment"
            )
    return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None, command: typer.Typer = app, program: str = "perennial") -> int:
    """Run a command line, and return the exit code.

    Parameters
    ----------
    arguments
        The words after the program's name; by default this process's arguments.
    command, program
        Application to run, and its name in messages. The benchmarks of a checkout pass their own.
    """
    hidden = shadowed()
    if hidden is not None:
        print_error(hidden)
        return 2
    # This must be set before numpy is loaded. Our matrix products are small: on a busy machine, waiting for several
    # threads took 100 ms at p99 for a recommendation, against 1 ms with one thread. (torch has its own setting.)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # The command reports an absent broker in one line, so the client libraries need not log it.
    for library in ("kafka", "aiokafka"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    return guarded(lambda: _run(command, program, None if arguments is None else list(arguments)))


def _run(command: typer.Typer, program: str, arguments: list[str] | None) -> int:
    try:
        code = typer.main.get_command(command).main(arguments, prog_name=program, standalone_mode=False)
    except typer.TyperException as error:
        return _usage_error(error)
    except typer.Abort:
        print_error("stopped")
        return 130
    return code if isinstance(code, int) else 0


def _usage_error(error: Any) -> int:
    ctx = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help, which has been printed
        return 0
    where = f" ({ctx.command_path} --help)" if ctx is not None else ""
    # pydantic begins each message with "Value error, ", which adds no information
    print_error(f"{error.format_message().replace('Value error, ', '')}{where}")
    return int(error.exit_code)
