"""A version of a model on its way to the fold."""

from __future__ import annotations

import msgspec

from models.batch import Output
from models.log import Use, encode_control

TOPIC = "versions"


class Publication(msgspec.Struct, array_like=True, frozen=True):
    """One version.

    Attributes
    ----------
    version
        Positive, growing.
    content
        JSON, as the scorer of the model writes it.
    """

    version: int
    content: bytes

    def broadcast(self, name: str) -> tuple[bytes, bytes]:
        """The control record that every partition of ``events`` shall carry."""
        return encode_control(Use(name=name, version=self.version, content=msgspec.Raw(self.content)))

    def output(self, name: str) -> Output:
        """The record of ``versions``, for processes that do not fold.

        Examples
        --------
        >>> Publication(3, b'{"weights":[1.5]}').output("churn")
        Output(topic='versions', key=b'churn',
            value=b'{"control":"use","name":"churn","version":3,"content":{"weights":[1.5]}}')
        """
        return Output(TOPIC, name.encode(), self.broadcast(name)[1])
