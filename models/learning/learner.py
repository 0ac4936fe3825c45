"""The parts that all online models share: publishing at exact counts of examples, saving and restoring.

:class:`OnlineModel` is the interface that the stream uses. :class:`Learner` and :class:`Scorer` are those of a model
that scores rows. A model may implement them differently; :class:`VersionedLearner` and :class:`JsonScorer` are base
classes that do most of the work.
:mod:`models.learning.checks` holds the checks that every model must pass.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import msgspec

from models.errors import StateMismatch
from models.learning.examples import ChurnExample, SegmentExample, require_features
from models.learning.publication import Publication
from models.learning.sealed import seal, unseal

__all__ = ["JsonScorer", "Learner", "ModelContent", "OnlineModel", "OutdatedExample", "Scorer", "VersionedLearner"]

Example = TypeVar("Example", bound=ChurnExample | SegmentExample)
State = TypeVar("State", bound=msgspec.Struct)
_AnyExample = TypeVar("_AnyExample", contravariant=True)


class Scorer(Protocol):
    """The published form of a model: plain numbers that score one row at a time.

    Attributes
    ----------
    features
        Names of a row's values, in the order of the row.
    """

    features: tuple[str, ...]

    def predict_one(self, row: Sequence[float]) -> float:
        """Return the prediction for one row of shape ``(len(features),)``."""

    def encode(self) -> bytes:
        """Return the content of a ``use`` record; the same numbers give the same bytes."""

    def fits(self, features: Sequence[str]) -> bool:
        """Return whether rows with these features can be scored."""


class OutdatedExample(Exception):
    """The error for an example that is too old to be learned; it is counted, and nothing else follows from it."""


class OnlineModel(Protocol[_AnyExample]):
    """A model that learns from one example after another and publishes versions.

    Attributes
    ----------
    examples
        Number of examples learned so far.
    """

    examples: int

    @property
    def newest(self) -> Publication | None:
        """The newest version, or ``None`` before the first."""

    def learn_one(self, example: _AnyExample) -> Publication | None:
        """Learn from one example, and return the version that this example completed."""

    def state(self) -> bytes:
        """Return everything that :meth:`restore` needs."""

    def restore(self, data: bytes) -> None:
        """Continue from bytes that :meth:`state` returned."""


class Learner(OnlineModel[_AnyExample], Protocol[_AnyExample]):
    """A model that scores rows of features.

    The content of a version depends only on the examples and their order. It does not depend on how the examples were
    divided into batches, or on when the learner was saved and restored.

    Attributes
    ----------
    features
        Names of a row's values, in the order of the row.
    """

    features: tuple[str, ...]

    def predict_one(self, row: Sequence[float]) -> float:
        """Return the current prediction of the model for one row."""

    def scorer(self) -> Scorer:
        """Return the published form of the model as it is now."""

    def clone(self) -> Self:
        """Return an untrained learner with the same parameters."""


class VersionedLearner(ABC, Generic[Example, State]):
    """Base of the learners: counts examples, publishes versions, saves and restores.

    Parameters
    ----------
    features
        Names of a row's values, in the order of the row.
    every
        Number of examples between two versions, at least 1.
    first
        Number of examples before the first version, at least 1.

    Attributes
    ----------
    examples
        Number of examples learned so far.
    newest
        The newest version, or ``None`` before the first.
    """

    SCHEMA: ClassVar[int]
    """Version of the saved state's form."""
    LABEL: ClassVar[str]
    """Name of the learner in error messages."""
    STATE: ClassVar[type[msgspec.Struct]]
    """Struct that holds the saved state."""

    def __init__(self, features: Sequence[str], *, every: int, first: int) -> None:
        self.features = tuple(features)
        self.every = every
        self.first = first
        self.examples = 0
        self.newest: Publication | None = None

    def __repr__(self) -> str:
        """Show the parameters, the number of examples and the newest version."""
        parameters = "".join(f"{name}={value!r}, " for name, value in self.parameters().items())
        version = None if self.newest is None else self.newest.version
        name, count = type(self).__name__, len(self.features)
        return f"{name}(<{count} features>, {parameters}examples={self.examples}, version={version})"

    def parameters(self) -> Mapping[str, Any]:
        """Return the constructor's keyword arguments."""
        return {"every": self.every, "first": self.first}

    def clone(self) -> Self:
        """Return an untrained learner with the same features and parameters."""
        return type(self)(self.features, **self.parameters())

    def learn_one(self, example: Example) -> Publication | None:
        """Learn from one example.

        Returns
        -------
        Publication or None
            The version that this example completed, if it completed one.

        Raises
        ------
        InvalidEvent
            ``other_features``: the row was made with other features. Nothing was learned.
        """
        require_features(example, self.features)
        self.examples += 1
        self._learn(example)
        if self.examples < self.first or (self.examples - self.first) % self.every or not self._can_publish():
            return None
        self.newest = self._publish()
        return self.newest

    def state(self) -> bytes:
        """Return everything that was learned, as plain numbers with a checksum."""
        return seal(self._save(), self.SCHEMA)

    def restore(self, data: bytes) -> None:
        """Continue from bytes that :meth:`state` returned.

        If the state belongs to other features or parameters, the learned numbers are of no use. Learning then starts
        again, but version numbers keep growing, because the fold ignores lower ones.

        Raises
        ------
        StateMismatch, StateDamaged
            The bytes cannot be read.
        """
        state: Any = unseal(data, self.STATE, self.SCHEMA, self.LABEL)
        self.newest = state.newest
        if self._is_own(state):
            self.examples = state.examples
            self._load(state)

    @abstractmethod
    def predict_one(self, row: Sequence[float]) -> float:
        """Return the current prediction of the model; the checks compare the published form's prediction with it."""

    @abstractmethod
    def scorer(self) -> Scorer:
        """Return the plain numbers of the model as it is now."""

    @abstractmethod
    def _learn(self, example: Example) -> None:
        """Learn from an example with the right features, which :attr:`examples` already counts."""

    @abstractmethod
    def _save(self) -> State:
        """Return everything that was learned."""

    @abstractmethod
    def _is_own(self, state: State) -> bool:
        """Return whether a saved state belongs to these features and parameters."""

    @abstractmethod
    def _load(self, state: State) -> None:
        """Take over a saved state that :meth:`_is_own` accepted."""

    def _can_publish(self) -> bool:
        """Return whether enough was learned to publish a version."""
        return True

    def _publish(self) -> Publication:
        version = 1 if self.newest is None else self.newest.version + 1
        return Publication(version, self.scorer().encode())


class ModelContent(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the contents of ``use`` records.

    Attributes
    ----------
    schema
        Version of the content's form.
    features
        Names of a row's values, in the order of the row.
    """

    schema: int = 1
    features: tuple[str, ...]


Content = TypeVar("Content", bound=ModelContent)


class JsonScorer(ABC, Generic[Content]):
    """Base of the scorers: a struct of plain numbers that travels as JSON.

    Parameters
    ----------
    model
        The published numbers.
    """

    SCHEMA: ClassVar[int]
    """Version of the content's form."""
    LABEL: ClassVar[str]
    """Name of the scorer in error messages."""
    CONTENT: ClassVar[type[ModelContent]]
    """Struct that holds the numbers."""

    __slots__ = ("features", "model")

    def __init__(self, model: Content) -> None:
        self.model = model
        self.features = model.features

    def __repr__(self) -> str:
        """Show the features."""
        return f"{type(self).__name__}(features={self.features})"

    @classmethod
    def decode(cls, content: bytes | msgspec.Raw) -> Self:
        """Read the content of a ``use`` record.

        Raises
        ------
        StateMismatch
            Another schema version wrote it.
        msgspec.DecodeError
            The bytes are not content of this kind, or the numbers do not fit each other.
        """
        model: Any = msgspec.json.decode(content, type=cls.CONTENT)
        if model.schema != cls.SCHEMA:
            raise StateMismatch(cls.LABEL, model.schema, cls.SCHEMA)
        cls._require_consistent(model)
        return cls(model)

    def encode(self) -> bytes:
        """Return the content of a ``use`` record: JSON, exact to the last bit."""
        return msgspec.json.encode(self.model)

    def fits(self, features: Sequence[str]) -> bool:
        """Return whether rows with these features can be scored; if not, the caller waits for a newer version."""
        return self.features == tuple(features)

    @abstractmethod
    def predict_one(self, row: Sequence[float]) -> float:
        """Return the prediction for one row, in the order of ``features``."""

    @staticmethod
    @abstractmethod
    def _require_consistent(model: Any) -> None:
        """Raise ``msgspec.ValidationError`` if the numbers do not fit each other."""
