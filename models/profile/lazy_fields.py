"""Fields of a struct that stay packed until somebody reads them.

A daily look at a user asks for neither their traits nor the messages they were sent, and most events for few of them.
A field that is annotated ``Lazily[...]`` is decoded as :class:`msgspec.Raw`, which costs nothing; the first read puts
its value into its place; and what was never read is encoded as it came. For whoever uses the struct, and for mypy, the
field is of the type in the brackets.
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
        """``Lazily[type]``: msgspec sees bytes that it leaves as they are, and :func:`defer` the type."""

        def __class_getitem__(cls, inner: Any) -> Any:
            return Annotated[msgspec.Raw, _Deferred(inner)]


class _Deferred:
    def __init__(self, inner: Any) -> None:
        self.inner = inner


def defer(struct: type[S]) -> type[S]:
    """Let the fields of a struct class that are :data:`Lazily` decode themselves; to be called once all types exist.

    Two such structs are equal when all of their fields are, packed or not: the class needs ``eq=False``.

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
            setattr(struct, name, _read_once(getattr(struct, name), get_args(hint)[1].inner))

    def equals(one: Any, other: Any) -> bool:
        if type(one) is not type(other):
            return False
        return all(getattr(one, name) == getattr(other, name) for name in fields)

    setattr(struct, "__eq__", equals)  # noqa: B010 - a class is completed here
    return struct


def _read_once(slot: Any, inner: Any) -> property:
    """A property over a field's own place, which holds its bytes at first."""
    decode, get, put = msgspec.msgpack.Decoder(inner).decode, slot.__get__, slot.__set__

    def read(struct: Any) -> Any:
        value = get(struct)
        if type(value) is msgspec.Raw:
            value = decode(value)
            put(struct, value)
        return value

    return property(read, put)
