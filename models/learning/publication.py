"""A version of a model, in the form for the fold and for the topic ``versions``."""

from __future__ import annotations

import msgspec

from models.batch import Output
from models.log import Use, encode_control

TOPIC = "versions"


class Publication(msgspec.Struct, array_like=True, frozen=True):
    """One version of a model.

    Attributes
    ----------
    version
        Number of the version, from 1; each new version has a higher number.
    content
        JSON that the model's scorer wrote.
    """

    version: int
    content: bytes

    def broadcast(self, name: str) -> tuple[bytes, bytes]:
        """Return the control record that is broadcast to every partition of ``events``, as key and value."""
        return encode_control(Use(name=name, version=self.version, content=msgspec.Raw(self.content)))

    def output(self, name: str) -> Output:
        """Return the record for the topic ``versions``, which processes without a fold read.

        Examples
        --------
        >>> Publication(3, b'{"weights":[1.5]}').output("churn")
        Output(topic='versions', key=b'churn',
            value=b'{"control":"use","name":"churn","version":3,"content":{"weights":[1.5]}}')
        """
        return Output(TOPIC, name.encode(), self.broadcast(name)[1])
