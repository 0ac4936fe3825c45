"""Errors, named by what the caller should do.

All public errors that the engine raises on purpose, with the package of each:

- ``PerennialError`` is the base of all of them.

  - ``InvalidEvent``, models.errors: reject this record with its reason, and continue with the next one.

    - ``StartRefused``, models.fold: follow the message, and give the order again.

  - ``InvalidConfiguration``, models.errors: report the mistake, its place and the allowed values to the author of the
  file.

    - ``InvalidTemplate``, models.configuration: the same for a template.
    - ``InvalidSettings``, stream.settings: the same for a setting.

      - ``NotYaml``, stream.settings: the same for text that is not YAML.

  - ``StateMismatch``, models.errors: stop, because this code cannot read that state.
  - ``UnknownLevel``, models.levels: stop, because only another release can read that log.
  - ``StateDamaged``, models.errors: stop, because the stored bytes differ from the written ones.
  - ``OutputTooLarge``, models.errors: reject the record that caused it.
  - ``InvalidPushAddress``, models.delivery: refuse the address.
  - ``SecretMissing``, models.delivery: hold messages until the secret is set.
  - ``FoldBroken``, models.fold: stop the lane, because its code fails for every record.
  - ``ModelsFailed``, models.fold: reject the record that caused it; publish models that give a score.
  - ``UnknownSegment``, models.fold: name one of the segments by rule.
  - ``JourneyNotKnown``, models.fold: name one of the journeys in use.
  - ``NothingRecorded``, models.journey_tests: name another user, another time, or a journey.
  - ``MissingPayload``, models.fold: begin the rebuild again, or use the earlier code.
  - ``NotLinked``, models.identity: name two ids that are linked.
  - ``InvalidInteractions``, models.recommend: correct the file.
  - ``InvalidItems``, models.recommend: correct the file.
  - ``BadTable``, models.imports: correct the file, or the options about its columns.
  - ``DamagedArtifact``, models.recommend: keep the model in use.
  - ``BrokerUnavailable``, stream.cluster: try again later.

    - ``BrokerUnreachable``, stream.cluster: start a broker, or correct its address or credentials.
    - ``BrokerSilent``, stream.cluster: try again later, because there was no answer in time.

  - ``TopicsNotReady``, stream.cluster: create the topics, or set the number of partitions.
  - ``LogUnavailable``, stream.log: write the same records again.
  - ``WrongClock``, stream.log: use another installation, or send live events.
  - ``Contended``, stream.log: publish again.
  - ``TemplatesFail``, stream.settings: correct the templates.
  - ``RunsAlready``, stream.settings: stop the other installation, or use another folder.
  - ``LogEndsBefore``, stream.engine: wait for the right log.
  - ``PositionOutOfRange``, stream.engine: look up where the log begins and ends.
  - ``RecordsGone``, stream.engine: continue after the deleted records, and report the loss.
  - ``ProgramMissing``, stream.processes: install the program.
  - ``Misconfigured``, stream.processes: correct what the program has refused.
  - ``CannotListen``, stream.collector: choose another port.
  - ``PortTaken``, stream.installation: stop the other program, or choose another port.
  - ``BrokerNotStarted``, stream.installation: follow the message.
  - ``NotReady``, stream.installation: read the log of the process.
  - ``CannotFinish``, stream.installation: do what the message says, such as to replace an old worker.
  - ``Refused``, stream.installation: correct what the check has found.
  - ``NotFailed``, stream.installation: override only findings that have failed.
  - ``LookupFailed``, stream.lookup: follow the message.

    - ``UnknownUser``, stream.lookup: check the user's id.
    - ``UnknownSegmentName``, stream.lookup: name one of the segments by rule.
    - ``UnknownJourney``, stream.lookup: name one of the journeys.
    - ``UnknownCampaign``, stream.lookup: name one of the campaigns.
    - ``NoJourneysYet``, stream.installation: raise the format level.

  - ``LogUnreadable``, stream.lookup: ask the worker without the log, or read the log yourself.
  - ``StillRefused``, stream.dead_letters: leave the letter in its topic.
  - ``NobodyFolds``, stream.feed: start a worker.
  - ``UnknownRun``, stream.imports: name one of the runs.
  - ``AlreadyFed``, stream.feed: feed another log.
  - ``CannotReplay``, stream.feed: name another file.
  - ``NoTransactions``, stream.rebuild: use Apache Kafka.
  - ``BrokerFailed``, stream.rebuild: run the same command again.
  - ``BeginningGone``, stream.rebuild: keep the facts in use.
  - ``NotThere``, stream.rebuild: name an earlier time.
  - ``TakenOver``, stream.rebuild: let the other rebuild continue.
  - ``TopicRefused``, stream.rebuild: create or delete the topic yourself, because the cluster does not allow us to.
  - ``NotSwitched``, stream.rebuild: run the same command again.
  - ``LinksDiffer``, stream.rebuild: use the earlier code.
  - ``MergesMissing``, stream.rebuild: follow the message.
  - ``ConditionsComing``, stream.rebuild: run the same command again in a moment.
  - ``EntriesNotAccepted``, stream.installation: look at the numbers, then accept them.
  - ``NumbersDiffer``, stream.installation: look at the numbers again.
  - ``OlderRunsNotCounted``, stream.installation: start the workers, or accept that the number is not known.
  - ``OlderRunsNotAccepted``, stream.installation: look at the numbers, then accept them.
  - ``CannotStart``, stream.installation: follow the message.
  - ``UntestedJourneys``, stream.installation: write a test, correct it, or waive it by name.
  - ``NotAnAnonymousId``, stream.installation: name a known user, and then an anonymous id.
  - ``BeginningLost``, stream.installation: leave past events where they are.
  - ``NotActed``, stream.installation: run the same command again.
  - ``FilesInTheWay``, stream.presets: move the files away.
  - ``DemoFailed``, stream.demo: read the log of the process.
  - ``DoorRefused``, stream.cli: correct the events.
  - ``CannotSuppress``, stream.cli: follow the message.
  - ``CannotImport``, stream.cli: follow the message.
  - ``NothingInUse``, stream.cli: name a settings file, or apply one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from models.events import Event

NOT_YET = "nothing, because this release does not have it yet"
"""Allowed values where the written form has a value that no code carries out yet."""


class PerennialError(Exception):
    """Base of every error that the engine raises on purpose.

    An error can be pickled, so it comes whole from a process of a pool, whatever its constructor takes.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how to restore the error: its class, its message, and its attributes."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[PerennialError], args: tuple[Any, ...], attributes: dict[str, Any]) -> PerennialError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(attributes)
    return error


class EventWarning(NamedTuple):
    """A detail of an accepted event that does not count, or that counts in another way than its sender may expect.

    The reader of a record appends it to ``Reading.warnings``. The process that accepts the event counts the warning
    (``event_warnings``). The HTTP door also shows it to the sender. A warning that is marked ``rejected`` becomes a
    dead letter as well (:func:`models.rejected.reject_details`). So a bad address in an accepted ``identify`` can be
    found later.

    Attributes
    ----------
    reason
        A stable code for machines, such as ``bad_currency``.
    field
        Path of the detail in the wire form.
    found
        Its value, shortened.
    allowed
        Description of the allowed values.
    rejected
        Whether the detail goes to the dead letters.
    """

    reason: str
    field: str
    found: str
    allowed: str
    rejected: bool = False


class InvalidEvent(PerennialError, ValueError):
    """A record from outside cannot become an event: reject it and continue.

    Parameters
    ----------
    reason
        A stable code for machines, such as ``bad_time``; dead letters and metrics are grouped by it.
    field
        Path of the offending field in the wire form, such as ``properties.price``; empty for the whole record.
    found
        Value found there, shortened.
    allowed
        Description of the allowed values.

    Attributes
    ----------
    withdrawal
        The withdrawal of consent that could still be read in the record. It counts although the record is refused.
    """

    withdrawal: Event | None = None

    def __init__(self, reason: str, field: str, found: object, allowed: str) -> None:
        shown = found if isinstance(found, str) else repr(found)
        self.reason = reason
        self.field = field
        self.found = shown if len(shown) <= 80 else shown[:77] + "..."
        self.allowed = allowed
        where = f"{field}: " if field else ""
        super().__init__(f"{where}found {self.found}; allowed: {allowed}")


class InvalidConfiguration(PerennialError, ValueError):
    """The configuration cannot be used.

    Parameters
    ----------
    path
        Path of the value, such as ``rules[2].when.crosses``.
    found
        Value found there.
    allowed
        Description of the allowed values.
    """

    def __init__(self, path: str, found: object, allowed: str) -> None:
        self.path = path
        self.found = found
        self.allowed = allowed
        super().__init__(f"{path}: found {found!r}; allowed: {allowed}")


class StateMismatch(PerennialError):
    """Stored state was written with a schema that this code does not read.

    Parameters
    ----------
    what
        What was read, such as ``profile``.
    found, supported
        Schema versions.
    """

    def __init__(self, what: str, found: int, supported: int) -> None:
        self.what = what
        self.found = found
        self.supported = supported
        super().__init__(f"{what} has schema version {found}; this code reads version {supported}")


class StateDamaged(PerennialError):
    """Stored state that differs from the written one.

    Parameters
    ----------
    what
        What was read, such as ``churn learner``.
    why
        Description of the damage.
    """

    def __init__(self, what: str, why: str) -> None:
        self.what = what
        self.why = why
        super().__init__(f"{what} is damaged: {why}")


class OutputTooLarge(PerennialError, ValueError):
    """An output would not fit into a Kafka record.

    Parameters
    ----------
    topic
        Logical topic name.
    size, limit
        Bytes of key and value together.
    """

    def __init__(self, topic: str, size: int, limit: int) -> None:
        self.topic = topic
        self.size = size
        self.limit = limit
        super().__init__(f"an output for {topic} has {size} bytes; at most {limit} fit")
