"""``perennial upgrade``: the last step of an upgrade, which raises the format level of the log."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from models.levels import NEWEST, OLDEST
from stream.cli.output import Config, Json, print_error, print_json, print_line, print_table
from stream.installation import upgrading
from stream.installation.recognition import opened
from stream.installation.upgrading import CannotFinish, UpgradeStanding
from stream.processes.exits import MISTAKE

app = typer.Typer(
    help="Finish an upgrade: raise the format level of the log once all workers run the new release.",
    no_args_is_help=True,
    add_completion=False,
)

NO_WAY_BACK = (
    f"Workers of the release before stop at level {NEWEST}: after this step they cannot be started again, and the step "
    "cannot be undone."
)


@app.command()
def status(config: Config = None, json: Json = False) -> None:
    """Show the format level of the log, and which workers run old code.

    New workers read and write the format of the release before, until
    `perennial upgrade finish`. Until then, old and new workers can run side by
    side, and new workers can be replaced back. Every worker reports its highest
    level in the client id of its consumer group.

    HTTP doors and retrainers are not listed: replace them as well.
    """
    settings = opened(config)
    found = upgrading.standing(settings.connection(), settings.partitions)
    if json:
        print_json(_as_json(found))
        return
    print_line(f"the log has format level {found.level}; this release knows levels {OLDEST} to {NEWEST}")
    if found.workers:
        rows = [(one.group, one.host, _code(one.level), one.member) for one in found.workers]
        print_table(("role", "host", "code", "member"), rows)
    print_line(_next_step(found))


@app.command()
def finish(
    yes: Annotated[
        bool, typer.Option("--yes", help="Raise the level; without --yes the command only says what it would do.")
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Raise the log to the newest format level. Afterwards there is no way back to the release before.

    The command refuses while a worker still runs old code, and names it. It also
    refuses while a rebuild is not at its end. It writes one control record to every
    partition. From there on, workers write state,
    events and configuration in the new format. A worker of the release before that
    is started afterwards stops before it commits, and says why.

    A second call writes the same records again, which changes nothing.
    """
    settings = opened(config)
    connection = settings.connection()
    found = upgrading.standing(connection, settings.partitions)
    if not yes:
        obstacle = found.obstacle()
        if obstacle is not None:
            raise CannotFinish(obstacle)
        if json:
            print_json({**_as_json(found), "finished": False})
        else:
            print_line(f"the log would be raised from format level {found.level} to {NEWEST}")
        print_error(f"{NO_WAY_BACK} --yes does it; nothing was changed")
        raise typer.Exit(MISTAKE)
    done = upgrading.finish(connection, settings.partitions)
    if json:
        print_json({**_as_json(done), "finished": True})
    else:
        print_line(f"the log has format level {done.level} (before: {found.level}) from its next records on")
    if done.old_workers:
        hosts = ", ".join(f"{one.group} on {one.host}" for one in done.old_workers)
        print_error(f"old workers have been started meanwhile; stop them now: {hosts}")
        raise typer.Exit(MISTAKE)


def _code(level: int) -> str:
    return f"level {level}" + ("" if level == NEWEST else ", old" if level < NEWEST else ", newer than this command")


def _next_step(found: UpgradeStanding) -> str:
    if found.is_finished:
        return "nothing is left to do"
    obstacle = found.obstacle()
    if obstacle is not None:
        return f"not ready: {obstacle}"
    return "all workers are ready; they can be replaced back until `perennial upgrade finish`, and not afterwards"


def _as_json(found: UpgradeStanding) -> dict[str, Any]:
    workers = None
    if found.workers is not None:
        workers = [
            {"role": one.group, "host": one.host, "member": one.member, "level": one.level, "old": one.level < NEWEST}
            for one in found.workers
        ]
    obstacle = found.obstacle()
    return {
        "level": found.level,
        "knows": {"oldest": OLDEST, "newest": NEWEST},
        "can_finish": obstacle is None,
        "obstacle": obstacle,
        "can_go_back": not found.is_finished,
        "workers": workers,
        "rebuild": list(found.rebuild),
    }
