"""``perennial check``: checks of everything that the settings name."""

from __future__ import annotations

from typing import Annotated

import typer

from stream.cli.output import Config, Json, print_json, print_line
from stream.installation.check import CheckOptions, findings
from stream.installation.recognition import recognised
from stream.settings.loading import load


def check(
    config: Config = None,
    offline: Annotated[bool, typer.Option("--offline", help="Leave out the checks that need a broker.")] = False,
    without_test: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Accept this new or changed journey without a test; repeatable."),
    ] = None,
    json: Json = False,
) -> None:
    """Check settings, rules, templates, secrets, delivery, broker and topics; the exit code is 2 if a check failed."""
    settings = load(config)
    options = CheckOptions(offline, tuple(without_test or ()))
    found = list(findings(settings if offline else recognised(settings), options=options))
    if json:
        print_json([finding.as_json() for finding in found])
    else:
        width = max(len(finding.name) for finding in found)
        for finding in found:
            print_line(f"{finding.result:6} {finding.name:<{width}} {finding.says}")
    if any(finding.result == "failed" for finding in found):
        raise typer.Exit(2)
