"""The questions of ``perennial user``, and where their answers come from."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

import typer

from models.batch import Restored
from models.engage.decisions import Decision
from models.fold.journey_reasons import why_not
from models.fold.membership_view import why
from models.fold.memo import read_memo, versions_in_use
from models.fold.message_view import describe_messages
from models.fold.moments import moment
from models.fold.view import describe
from models.log import is_control
from models.profile.codec import unpack
from models.profile.signals import Signal
from stream.cli.interruptible import run
from stream.cli.progress import ShowProgress, progress_bar
from stream.cluster.partitioner import partition_of
from stream.installation.recognition import opened
from stream.installation.user_records import decisions_of, signals_of
from stream.log.deciding_events import with_deciding_events
from stream.lookup.client import UnknownUser, ask_json, ask_state
from stream.lookup.identity import identity_of
from stream.rebuild.past import past_state
from stream.settings.loading import Settings, load
from stream.settings.worker_addresses import worker_urls

_HAPPENED = ("journey_entered", "journey_refused", "journey_converted", "journey_ended")
"""Kinds of signals that tell what has happened to a user in a journey."""


class Question(NamedTuple):
    """A question about a user.

    Attributes
    ----------
    kind
        What is asked.
    name
        Name of the segment or of the journey; empty for other questions.
    """

    kind: Literal["everything", "why", "why_not", "messages"]
    name: str = ""


def asked_question(segment: str | None, journey: str | None, *, messages: bool) -> Question:
    """Return the one question that the options of the command ask."""
    if (segment is not None) + (journey is not None) + messages > 1:
        raise typer.BadParameter("--why, --why-not and --messages are three questions; ask one of them")
    if segment is not None:
        return Question("why", segment)
    if journey is not None:
        return Question("why_not", journey)
    return Question("messages" if messages else "everything")


def answer_of(config: Path | None, user: str, question: Question, at: int | None) -> dict[str, Any]:
    """Answer a question about a user.

    Parameters
    ----------
    config
        The settings file.
    user
        The user's id.
    question
        The question.
    at
        Time as of which it is answered, milliseconds; ``None`` for now.
    """
    settings = load(config) if at is None and question.kind in ("everything", "why") else opened(config)
    answer = _present(settings, user, question) if at is None else _past(settings, user, question, at)
    if question.kind == "why_not":
        answer["history"] = _history(settings, user, question.name, at)
    return answer


def with_events(config: Path | None, answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer to ``why`` with the events that decided its clauses, from the log."""
    settings, now = opened(config), round(datetime.fromisoformat(answer["as_of"]).timestamp() * 1_000)
    with ExitStack() as stack:
        bar: list[ShowProgress] = []

        def planned(records: int) -> None:
            bar.append(stack.enter_context(progress_bar("find the events", records)))

        def read(records: int) -> None:
            for moved in bar:
                moved(records, now)

        return run(with_deciding_events(settings.connection(), answer, planned, read))


def _present(settings: Settings, user: str, question: Question) -> dict[str, Any]:
    """Return the answer of the worker that owns the user."""
    addresses, own = worker_urls(settings.sections.worker), identity_of(settings.connection())
    path, name = f"/v1/users/{quote(user, safe='')}", quote(question.name, safe="")
    if question.kind == "messages":
        state = asyncio.run(ask_state(addresses, user, own))
        return _messages(settings, user, state.packed, state.now)
    rest = {"everything": "", "why": f"/why/{name}", "why_not": f"/why-not/{name}"}[question.kind]
    return asyncio.run(ask_json(addresses, path + rest, own))


def _past(settings: Settings, user: str, question: Question, at: int) -> dict[str, Any]:
    """Return the answer that the owner of the user would have given at a time, milliseconds."""
    state = _state_at(settings, user, at)
    packed = None if is_control(user.encode()) else state.records.get(user.encode())
    if packed is None:
        raise UnknownUser(f"there was no user {user!r} at {moment(at)}")
    memo = read_memo(state)
    if question.kind == "messages":
        return _messages(settings, user, packed, memo.now, at)
    customer, versions = unpack(packed), versions_in_use(state, memo)
    match question.kind:
        case "why":
            place = {"partition": partition_of(user.encode(), settings.partitions), "position": state.position}
            return why(user, customer, memo.now, versions, question.name) | place
        case "why_not":
            return why_not(user, customer, memo.now, versions, question.name)
    return describe(user, customer, memo.now, versions)


def _state_at(settings: Settings, user: str, at: int) -> Restored:
    with ExitStack() as stack:
        bar: list[ShowProgress] = []

        def folded(position: int, now: int) -> None:
            for moved in bar:
                moved(position, now)

        def planned(records: int) -> None:
            bar.append(stack.enter_context(progress_bar("read the log", records)))

        partition = partition_of(user.encode(), settings.partitions)
        return run(past_state(settings.connection(), partition, at, planned, folded))


def _messages(settings: Settings, user: str, packed: bytes, now: int, until: int | None = None) -> dict[str, Any]:
    """Return all kept decisions about messages to a user."""
    found = run(decisions_of(settings.connection(), settings.partitions, user))
    decisions: list[Decision] = [one for one in found.records if until is None or one.at <= until]
    return describe_messages(user, unpack(packed), now, decisions, found.since)


def _history(settings: Settings, user: str, journey: str, until: int | None) -> list[dict[str, Any]]:
    """Return what has happened to a user in a journey, as far back as the topic ``signals`` has it."""
    found = run(signals_of(settings.connection(), settings.partitions, user))
    return [_happened(one) for one in found.records if _is_of(one, journey) and (until is None or one.at <= until)]


def _is_of(signal: Signal, journey: str) -> bool:
    return signal.kind in _HAPPENED and signal.name == journey


def _happened(signal: Signal) -> dict[str, Any]:
    return {
        "at": moment(signal.at),
        "what": signal.kind.removeprefix("journey_"),
        "outcome": signal.origin or None,
        "run": signal.run or None,
        "control_group": signal.held_out,
    }
