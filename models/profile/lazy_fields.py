"""Fields of a struct that stay encoded until they are first read.

A daily assessment needs neither a user's traits nor the messages sent to the user, and most events need few of the
fields. A field that is annotated ``Lazily[...]`` is decoded as :class:`msgspec.Raw`, which costs nothing. The first
read decodes the value and stores it in the field. A field that was never read is encoded as it came. For readers of the
struct, and for mypy, the field has the type in the brackets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

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
    >>> read.numbers, read == Lazy(numbers=[1, 2]), read != Lazy(numbers=[1, 2]), read
    ([1, 2], True, False, Lazy(numbers=[1, 2]))
    """
    fields = struct.__struct_fields__
    for name, hint in get_type_hints(struct, include_extras=True).items():
        if get_origin(hint) is Annotated and isinstance(get_args(hint)[1], _Deferred):
            setattr(struct, name, _read_once(getattr(struct, name), get_args(hint)[1].inner))

    def equals(one: Any, other: Any) -> bool:
        if type(one) is not type(other):
            return False
        return all(getattr(one, name) == getattr(other, name) for name in fields)

    def differs(one: Any, other: Any) -> bool:
        return not equals(one, other)

    setattr(struct, "__eq__", equals)  # noqa: B010 - a class is completed here
    setattr(struct, "__ne__", differs)  # noqa: B010 - msgspec's own one compares identities
    return struct


def _read_once(slot: Any, inner: Any) -> property:
    """Return a property over a field's slot, which holds the encoded bytes at first."""
    decode, get, put = msgspec.msgpack.Decoder(inner).decode, slot.__get__, slot.__set__

    def read(struct: Any) -> Any:
        value = get(struct)
        if type(value) is msgspec.Raw:
            value = decode(value)
            put(struct, value)
        return value

    return property(read, put)
