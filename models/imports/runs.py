"""The runs of ``perennial import``: one record each, in the compacted topic ``imports``.

A run is named by what it imports. So the same file with the same columns is the same run, and a run that was killed is
completed by the same command. An undone run is followed by another one of the same content, with the next number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Literal

import msgspec
import orjson

from models.imports.columns import Content

TOPIC = "imports"
"""Logical name of the topic."""

RunState = Literal["begun", "done", "undone"]
"""``begun``: some lines may be written. ``done``: all are acknowledged. ``undone``: it was taken back."""


class ImportRun(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One run.

    Attributes
    ----------
    id
        Its id, which is in the context of each of its events and in the source of each of its entries.
    content
        What the file is about.
    file, digest
        Name of the file, and SHA-256 of its content.
    at
        When it began, milliseconds: the time of its events.
    by
        Who has called the command.
    state
        How far it is.
    counts
        What it has read and written, by name.
    options
        What was stated besides the file, by option.
    text
        The text that people have agreed to, if it was stated for the file.
    ended_at, undone_at
        When it was complete, and when it was undone, milliseconds; 0 for never.
    undone_by, undone
        Who has undone it, and what was taken back, by name.
    """

    id: str
    content: Content
    file: str
    digest: str
    at: int
    by: str
    state: RunState = "begun"
    counts: dict[str, int] = {}
    options: dict[str, str] = {}
    text: str = ""
    ended_at: int = 0
    undone_at: int = 0
    undone_by: str = ""
    undone: dict[str, int] = {}


encode_run = msgspec.json.Encoder().encode
"""Return the JSON of a run."""
decode_run = msgspec.json.Decoder(ImportRun).decode
"""Read the JSON of a run; raise ``msgspec.DecodeError`` if it is not one."""


def run_id(content: Content, digest: str, options: Mapping[str, str], known: Iterable[ImportRun]) -> str:
    """Return the id of a run: the same one for the same content, unless that run was undone.

    Parameters
    ----------
    content, digest, options
        What is imported: kind and digest of the file, and everything stated that changes what its lines say.
    known
        All runs so far.

    Examples
    --------
    >>> run_id("people", "00", {}, []) == run_id("people", "00", {}, [])
    True
    """
    said = orjson.dumps([content, digest, dict(options)], option=orjson.OPT_SORT_KEYS)
    base, number = sha256(said).hexdigest()[:12], 1
    undone = {one.id for one in known if one.state == "undone"}
    while (found := base if number == 1 else f"{base}-{number}") in undone:
        number += 1
    return found
