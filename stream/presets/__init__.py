"""Presets of ``perennial init``: a settings file and templates for each kind of company.

This package imports no other package of ``stream``.
"""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from models.errors import PerennialError


class FilesInTheWay(PerennialError):
    """Files that would be overwritten: move them away, or allow it with ``--force``.

    Parameters
    ----------
    paths
        Paths of the files, at least one.
    """

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        exist = f"and {len(paths) - 1} more already exist" if len(paths) > 1 else "already exists"
        super().__init__(f"{paths[0]} {exist}; --force replaces existing files")


def files(preset: str) -> dict[str, str]:
    """Return the content of each file of a preset, by its relative path."""
    root = resources.files(__name__) / preset
    found: dict[str, str] = {}

    def walk(place: Traversable, path: str) -> None:
        for entry in place.iterdir():
            inner = f"{path}/{entry.name}".lstrip("/")
            if entry.is_dir():
                walk(entry, inner)
            else:
                found[inner] = entry.read_text(encoding="utf-8")

    walk(root, "")
    return dict(sorted(found.items()))


def write(preset: str, folder: Path, *, replace: bool = False) -> list[Path]:
    """Write a preset's files into ``folder``, and return their paths.

    Raises
    ------
    FilesInTheWay
        A file exists and is not to be replaced. Then nothing is written.
    """
    targets = {folder / name: content for name, content in files(preset).items()}
    in_the_way = [path for path in targets if path.exists()]
    if in_the_way and not replace:
        raise FilesInTheWay(in_the_way)
    for path, content in targets.items():
        for place in (folder / path.relative_to(folder).parts[0], path):
            if place.is_symlink():  # the link is removed, not its target
                place.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return list(targets)
