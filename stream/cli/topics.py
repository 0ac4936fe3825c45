"""``perennial topics``: create, list or check the topics."""

from __future__ import annotations

import typer

from stream.cli.output import Config, Json, print_error, print_json, print_line, print_table
from stream.cluster import topics
from stream.cluster.admin import BrokerUnreachable, admin
from stream.installation.recognition import opened

app = typer.Typer(help="Create, list or check the topics.", no_args_is_help=True, add_completion=False)


@app.command()
def create(config: Config = None, json: Json = False) -> None:
    """Create the topics that are missing, and print their names."""
    settings = opened(config)
    made = topics.create(settings.connection(), settings.partitions, settings.replication_factor)
    if json:
        print_json({"created": made})
    else:
        for name in made:
            print_line(f"created {name}")
        print_line(f"{len(made)} created, {len(topics.PERMANENT) - len(made)} existed before")


@app.command("list")
def list_(config: Config = None, json: Json = False) -> None:
    """Show the table of topics, and the number of partitions that each has on the cluster."""
    settings = opened(config)
    connection = settings.connection()
    there: dict[str, int] = {}
    absent = "missing"
    try:
        with admin(connection, timeout_s=2.0) as client:
            there = topics.existing(client, connection)
    except BrokerUnreachable as error:
        absent = "-"
        print_error(f"{error}; the table is shown without the number found there:")
    rows = [
        {
            "topic": connection.topic(topic.name),
            "partitions": topic.partitions(settings.partitions),
            "found": there.get(connection.topic(topic.name)),
            "cleanup": topic.cleanup,
            "retention_days": topic.retention_days,
            "key": topic.key,
            "value": topic.value,
            "writers": topic.writers,
            "readers": topic.readers,
            "guarantee": topic.guarantee,
            "on_demand": topic.on_demand,
        }
        for topic in topics.TOPICS
    ]
    if json:
        print_json(rows)
        return
    print_table(
        ("topic", "partitions", "found", "cleanup", "days", "writers", "readers"),
        [
            (
                str(row["topic"]),
                str(row["partitions"]),
                str(row["found"]) if row["found"] is not None else "-" if row["on_demand"] else absent,
                str(row["cleanup"]),
                "" if row["retention_days"] is None else str(row["retention_days"]),
                str(row["writers"]),
                str(row["readers"]),
            )
            for row in rows
        ],
    )


@app.command()
def check(config: Config = None, json: Json = False) -> None:
    """Compare the topics of the cluster with the table of `perennial topics list`.

    The exit code is 2 if a difference stops the processes from starting.
    """
    settings = opened(config)
    problems = topics.check(settings.connection(), settings.partitions)
    if json:
        print_json([problem._asdict() for problem in problems])
    elif problems:
        for problem in problems:
            note = " (this stops no process)" if problem.kind == "config" else ""
            print_line(f"{problem.topic}: {problem.kind}: {problem.what}{note}")
        if any(problem.kind == "missing" for problem in problems):
            print_line("run: perennial topics create")
    else:
        print_line(f"all {len(topics.PERMANENT)} topics are as the table says")
    if any(problem.kind != "config" for problem in problems):
        raise typer.Exit(2)
