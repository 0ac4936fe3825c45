"""The Liquid environment of messages: no clock, no files, limited work, and no error for a value of the wrong type.

python-liquid has no hook for comparing and writing values. So the nodes and expressions of a parsed template get our
own classes, which differ from Liquid's only in how they compare and write values.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, TextIO

from liquid import BoundTemplate, Environment, RenderContext
from liquid.ast import Node
from liquid.builtin.expressions import logical, primitive
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.echo_tag import EchoNode
from liquid.exceptions import (
    LiquidError,
    LiquidInterrupt,
    LiquidSyntaxError,
    LiquidTypeError,
    LocalNamespaceLimitError,
    LoopIterationLimitError,
    ResourceLimitError,
    UndefinedError,
)
from liquid.expression import Expression
from liquid.stringify import to_liquid_string
from liquid.token import TOKEN_TAG, Token
from liquid.undefined import UNDEFINED, StrictUndefined

from models.liquid.filters import bounded_filters, given, is_undefined
from models.liquid.values import compare, equal, text_of
from models.liquid.work import LOOKUP, MAX_WORK

MAX_SOURCE = 262_144
"""Maximum length of a template, characters."""
MAX_TAG = 4_000
"""Maximum length of a tag, ``{{ ... }}`` or ``{% ... %}``, characters; the time to parse it grows with its square."""
MAX_ROUNDS = 10_000
"""Maximum number of rounds of all loops of a render together."""
MAX_CODE = 20_000_000
"""Maximum product of rounds and characters of code; a long template may make fewer rounds."""

_OPENING = re.compile(r"\{[{%]")
_VERBATIM = re.compile(r"-?\s*(raw|doc)\s*-?")
_BLANKS = re.compile(r"\s{200}")


def require_readable(source: str) -> int:
    """Refuse a source on which Liquid's lexer would need time that grows with the square of the source's length.

    Returns
    -------
    int
        Number of characters of code in the source.

    Raises
    ------
    LiquidSyntaxError
        The source or one of its tags is too long, or a tag is not closed.
    """
    if len(source) > MAX_SOURCE:
        raise _mistake(f"a template of more than {MAX_SOURCE:,} characters", source, 0)
    at = code = 0
    while opening := _OPENING.search(source, at):
        begin = opening.end()
        closing = "}}" if opening[0] == "{{" else "%}"
        end = source.find(closing, begin)
        if end < 0:
            raise _mistake(f"expected {closing!r}, found the end of the file", source, opening.start())
        if end - begin > MAX_TAG or _BLANKS.search(source, begin, end):
            problem = f"a tag of more than {MAX_TAG:,} characters, or with more than 200 blanks in a row"
            raise _mistake(problem, source, opening.start())
        code += end - begin
        at = end + 2
        if closing == "%}" and (verbatim := _VERBATIM.fullmatch(source, begin, end)):
            after = re.compile(rf"\{{%-?\s{{0,200}}end{verbatim[1]}\s{{0,200}}-?%\}}").search(source, at)
            if after is None:
                raise _mistake(f"expected {{% end{verbatim[1]} %}}, found the end of the file", source, opening.start())
            at = after.end()
    return code


def _mistake(problem: str, source: str, index: int) -> LiquidSyntaxError:
    return LiquidSyntaxError(problem, token=Token(TOKEN_TAG, "", index, source))


class _Context(RenderContext):
    """One render, and the work that it has done so far."""

    def __init__(self, template: BoundTemplate, **options: Any) -> None:
        super().__init__(template, **options)
        self._work = self._rounds = self._held = 0

    def spend(self, amount: int) -> None:
        """Count work, and raise an error if it is too much."""
        self._work += amount
        if self._work > MAX_WORK:
            raise ResourceLimitError("the template does too much work", token=None)

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        """Look a variable up; in a template without filters, this is most of the work."""
        self.spend(LOOKUP)
        return super().get(path, token=token, default=default)

    def assign(self, key: str, val: Any) -> None:
        """Assign a value to a name of the template, and add its size to the total.

        The base class would measure all values again at each assignment.
        """
        self._held += sys.getsizeof(val, 1) - sys.getsizeof(self.locals.get(key), 1)
        if self._held > (self.env.local_namespace_limit or sys.maxsize):
            raise LocalNamespaceLimitError("the values that the template assigns are too large", token=None)
        self.locals[key] = val

    @contextmanager
    def loop(self, namespace: Mapping[str, object], forloop: Any) -> Iterator[RenderContext]:
        """Begin a loop, and raise an error if all loops together make too many rounds."""
        self._rounds += forloop.length
        assert isinstance(self.template, _Template)
        if self._rounds > self.template.max_rounds:
            problem = f"the loops make more than {self.template.max_rounds:,} rounds"
            raise LoopIterationLimitError(problem, token=None)
        with super().loop(namespace, forloop) as context:
            yield context


class _Template(BoundTemplate):
    """A parsed template; all its render errors have a token, and therefore a line number."""

    context_class = _Context
    max_rounds = MAX_ROUNDS

    def render_with_context(self, context: RenderContext, buffer: TextIO, *_: Any, **__: Any) -> None:
        """Render every node."""
        for node in self.nodes:
            try:
                node.render(context, buffer)
            except LiquidInterrupt as error:
                raise LiquidSyntaxError(f"unexpected {error}", token=node.token) from error
            except LiquidError as error:
                error.token = error.token or node.token
                raise
            except Exception as error:
                # A template is a program that the shop has written, and it runs with any customer's traits. So any
                # error can occur.
                raise LiquidTypeError(str(error) or type(error).__name__, token=node.token) from error


class MessageEnvironment(Environment):
    """The environment that parses and renders messages."""

    template_class = _Template
    context_depth_limit: ClassVar[int] = 10
    loop_iteration_limit: ClassVar[int | None] = MAX_ROUNDS
    output_stream_limit: ClassVar[int | None] = 500_000
    local_namespace_limit: ClassVar[int | None] = 1_000_000

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Register the tags and filters that templates may use."""
        super().setup_tags_and_filters(extra=extra)
        self.filters = bounded_filters(self.filters)
        for tag in ("include", "render"):  # A message is one file, so there is nothing to include.
            del self.tags[tag]

    def parsed(self, source: str) -> BoundTemplate:
        """Parse a template.

        Raises
        ------
        LiquidError
            Liquid cannot read it.
        """
        code = require_readable(source)
        template = self.from_string(source)
        assert isinstance(template, _Template)
        template.max_rounds = min(MAX_ROUNDS, MAX_CODE // max(code, 1))
        context = _Context(template)
        for node in template.nodes:
            _adapt(node, context)
        return template


def _adapt(node: Node, context: RenderContext) -> None:
    """Give a node, and all nodes and expressions in it, our own classes."""
    node.__class__ = _OURS.get(type(node), type(node))
    for expression in node.expressions():
        _adapt_expression(expression)
    for inner in node.children(context, include_partials=False):
        _adapt(inner, context)


def _adapt_expression(expression: Expression) -> None:
    expression.__class__ = _OURS.get(type(expression), type(expression))
    for inner in expression.children():
        _adapt_expression(inner)


# --- Output -----------------------------------------------------------------------------------------------------------


def _write(node: OutputNode, context: RenderContext, buffer: TextIO) -> int:
    assert isinstance(context, _Context)
    try:
        value = given(node.expression.evaluate(context))
        if value is None and issubclass(context.env.undefined, StrictUndefined):
            raise UndefinedError(f"{node.expression} has no value", token=node.token)
        text = value if isinstance(value, str) else text_of(value)
        context.spend(len(text))
        return buffer.write(to_liquid_string(text, context.autoescape))
    except LiquidError as error:
        error.token = error.token or node.token
        raise
    except Exception as error:
        raise LiquidTypeError(str(error) or type(error).__name__, token=node.token) from error


class _Output(OutputNode):
    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return _write(self, context, buffer)


class _Echo(EchoNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return _write(self, context, buffer)


# --- Comparisons ------------------------------------------------------------------------------------------------------


class _Eq(logical.EqExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        return _same(self.left.evaluate(context), self.right.evaluate(context))


class _Ne(logical.NeExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        return not _same(self.left.evaluate(context), self.right.evaluate(context))


class _Lt(logical.LtExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        return _order(self, context) == -1


class _Le(logical.LeExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        return _order(self, context) in (-1, 0)


class _Gt(logical.GtExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        return _order(self, context) == 1


class _Ge(logical.GeExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        return _order(self, context) in (0, 1)


class _Contains(logical.ContainsExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        held, sought = _operand(self.left.evaluate(context)), _operand(self.right.evaluate(context))
        if held is None or sought is None:
            return False
        if isinstance(held, str):
            return text_of(sought) in held
        if isinstance(held, Mapping):
            return text_of(sought) in held
        return isinstance(held, list | tuple | range) and any(_same(item, sought) for item in held)


class _Range(primitive.RangeLiteral):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> range:
        found = super().evaluate(context)
        if found.stop - found.start > MAX_ROUNDS:
            raise LoopIterationLimitError(f"a loop or a range of more than {MAX_ROUNDS:,} numbers", token=self.token)
        return found


def _order(expression: Any, context: RenderContext) -> int | None:
    """Compare both sides; return ``None``, which makes every comparison false, if they have no order."""
    return compare(_operand(expression.left.evaluate(context)), _operand(expression.right.evaluate(context)))


def _same(left: Any, right: Any) -> bool:
    one, other = _operand(left), _operand(right)
    if one is None or other is None:
        return one is other or isinstance(one or other, primitive.Blank)
    return equal(one, other)


def _operand(value: Any) -> Any:
    """Return the value of one side of a comparison; an undefined value is nil, also in a strict render."""
    return None if is_undefined(value) else given(value)


_OURS: dict[type, Any] = {
    OutputNode: _Output,
    EchoNode: _Echo,
    logical.EqExpression: _Eq,
    logical.NeExpression: _Ne,
    logical.LtExpression: _Lt,
    logical.LeExpression: _Le,
    logical.GtExpression: _Gt,
    logical.GeExpression: _Ge,
    logical.ContainsExpression: _Contains,
    primitive.RangeLiteral: _Range,
}
