"""``perennial bench``: measure this machine and the peers, from a checkout: the wheel holds no benchmarks."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

import stream
from models.errors import PerennialError


class NeedsCheckout(PerennialError):
    """What was asked for is not part of an installed package: run it from a checkout of the repository."""


class _InCheckout(TyperGroup):
    """The commands of ``tests/benchmarks/commands.py``."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name them, in their order."""
        names: list[str] = _commands().list_commands(ctx)
        return names

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Look one up."""
        return _commands().get_command(ctx, cmd_name)


bench = typer.Typer(cls=_InCheckout, help="Measure on this machine, beside the peers.", no_args_is_help=True)


@bench.callback()
def _bench() -> None:
    """Measure on this machine, beside the peers: each prints a table and writes JSON."""
    _commands().callback()


def checkout(package: Path) -> Path:
    """Root of the checkout that a package of ours belongs to.

    Raises
    ------
    NeedsCheckout
        It stands in none.
    """
    root = package.resolve().parent
    if not (root / "tests" / "benchmarks" / "commands.py").exists():
        raise NeedsCheckout(
            "the benchmarks, their load and the peers' programs are not part of the installed package; in a checkout "
            "of the repository: make setup, then .venv/bin/perennial bench"
        )
    return root


def _commands() -> Any:
    root = str(checkout(Path(stream.__path__[0])))
    if root not in sys.path:
        sys.path.insert(0, root)
    return typer.main.get_group(importlib.import_module("tests.benchmarks.commands").app)
