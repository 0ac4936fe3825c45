"""Fields of a struct that stay encoded until they are first read.

A daily assessment needs neither a user's traits nor the messages sent to the user, and most events need few of the
fields. A field that is annotated ``Lazily[...]`` is decoded as :class:`msgspec.Raw`, which costs nothing. The first
read decodes the value and stores it in the field. A field that was never read is encoded as it came. For readers of the
struct, and for mypy, the field has the type in the brackets.

A field of a dormant user holds the :class:`~models.profile.rest.Rest` of the user, from which its first read takes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from models.profile.rest import Rest

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
_slots: dict[tuple[type, str], Callable[[Any], Any]] = {}
"""How to read the slot of each field without decoding it, by class and name."""

if TYPE_CHECKING:
    Lazily = Annotated[T, "decoded when it is first read"]
else:

    class Lazily:
        """``Lazily[type]``: a type that is plain bytes for msgspec, and ``type`` for :func:`defer`."""

        def __class_getitem__(cls, inner: Any) -> Any:
            return Annotated[msgspec.Raw, _Deferred(inner)]


class _Deferred:
    def __init__(self, inner: Any) -> None:
        self.inner = inner


def defer(struct: type[S]) -> type[S]:
    """Let the :data:`Lazily` fields of a struct class decode themselves when they are first read.

    Call it after all types of the fields are defined.

    Two such structs are equal if all of their fields are equal, encoded or not. So the class needs ``eq=False``.

    Examples
    --------
    >>> Lazy = defer(msgspec.defstruct("Lazy", [("numbers", Lazily[list[int]], [])], array_like=True, eq=False))
    >>> read = msgspec.msgpack.decode(msgspec.msgpack.encode(Lazy(numbers=[1, 2])), type=Lazy)
    >>> read
    Lazy(numbers=<msgspec.Raw object at ...>)
    >>> read.numbers, read == Lazy(numbers=[1, 2]), read
    ([1, 2], True, Lazy(numbers=[1, 2]))
    """
    fields = struct.__struct_fields__
    for name, hint in get_type_hints(struct, include_extras=True).items():
        if get_origin(hint) is Annotated and isinstance(get_args(hint)[1], _Deferred):
            slot = getattr(struct, name)
            _slots[struct, name] = slot.__get__
            setattr(struct, name, _read_once(name, slot, get_args(hint)[1].inner))

    def equals(one: Any, other: Any) -> bool:
        if type(one) is not type(other):
            return False
        return all(getattr(one, name) == getattr(other, name) for name in fields)

    setattr(struct, "__eq__", equals)  # noqa: B010 - a class is completed here
    return struct


def encoded(struct: msgspec.Struct, name: str) -> Any:
    """Return the content of a :data:`Lazily` field as it is: the value if it was read, else what it comes from."""
    return _slots[type(struct), name](struct)


def _read_once(name: str, slot: Any, inner: Any) -> property:
    """Return a property over a field's slot, which holds the encoded bytes at first."""
    decode, get, put = msgspec.msgpack.Decoder(inner).decode, slot.__get__, slot.__set__

    def read(struct: Any) -> Any:
        value = get(struct)
        if type(value) is msgspec.Raw:
            value = decode(value)
            put(struct, value)
        elif type(value) is Rest:
            value = decode(getattr(value.parts, name))
            put(struct, value)
        return value

    return property(read, put)
