"""From SQL text to a term: sqlglot parses, the rules here give each node its meaning.

sqlglot's own table of functions is emptied, so that every call arrives under the name that the user wrote and
is looked up in our whitelist alone. A node that :data:`RULES` does not list is refused. Nothing of the user's
text reaches an engine: what is sent is rendered anew from the terms.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.spark import Spark
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType

from dpframe.errors import ExpressionError
from dpframe.plan import Schema, Type
from dpframe.sql import arithmetic, functions
from dpframe.sql.arguments import argument
from dpframe.sql.casts import cast
from dpframe.sql.refusals import refuse_construct, refuse_function
from dpframe.sql.terms import (
    MAX_DEPTH,
    Term,
    boolean,
    column_term,
    common,
    derive,
    literal_term,
    nesting,
    present,
    shorten,
    typed,
    union,
)

Read = Callable[[Any], Term]
"""Reads one node of the tree."""

ESCAPES = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "t": "\t", "r": "\r", "%": "\\%", "_": "\\_"}
"""Spark's escapes inside a text literal; the last two are kept for ``like`` to read."""


class _Parser(Spark.Parser):  # type: ignore[misc]
    """Spark's grammar without sqlglot's opinions on what functions mean.

    What binds how tight is said here too: for long sqlglot took ``a + b % c`` for ``(a + b) % c``.
    """

    FUNCTIONS: ClassVar[dict[str, Any]] = {}
    FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
        name: Spark.Parser.FUNCTION_PARSERS[name] for name in ("CAST", "TRY_CAST")
    }
    NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {"CASE": Spark.Parser.NO_PAREN_FUNCTION_PARSERS["CASE"]}
    TERM: ClassVar[dict[Any, Any]] = {TokenType.PLUS: exp.Add, TokenType.DASH: exp.Sub}
    FACTOR: ClassVar[dict[Any, Any]] = {
        TokenType.STAR: exp.Mul,
        TokenType.SLASH: exp.Div,
        TokenType.DIV: exp.IntDiv,
        TokenType.MOD: exp.Mod,
    }


def read(text: str, schema: Schema) -> Term:
    """The meaning of one scalar expression.

    Raises
    ------
    ExpressionError
        The text is not one scalar, deterministic expression made of what the rules know.
    ColumnTypeError
        An operand is of a type that its operator cannot use.
    UnknownColumnError
        A name is not a column of the schema.
    """
    if not isinstance(text, str):
        raise ExpressionError(f'An expression is SQL text, such as "age >= 18", not {text!r}.')
    try:
        term = _read(parse(text), schema)
    except RecursionError:
        raise _too_deep() from None
    if max(nesting(term.spark), nesting(term.duckdb)) > MAX_DEPTH:
        raise _too_deep()
    return term


def conjuncts(text: str, schema: Schema) -> list[Term]:
    """The conditions of which one that has been checked is the conjunction, each by itself."""
    parts, left = list[Any](), [parse(text)]
    while left:
        node = left.pop()
        if isinstance(node, exp.Paren):
            left.append(node.this)
        elif isinstance(node, exp.And):
            left += [node.expression, node.this]
        else:
            parts.append(node)
    return [boolean(_read(part, schema), "`and`") for part in parts]


def _too_deep() -> ExpressionError:
    return ExpressionError(
        "The expression is nested too deep for the engines' parsers. Split it into several .assign(...) steps."
    )


def parse(text: str) -> Any:
    """The sqlglot tree of one expression."""
    dialect = Spark()
    try:
        tokens = _tokens(text, dialect.tokenize(text))
        if not tokens:
            raise ExpressionError('The expression is empty. Write for example "age >= 18".')
        trees = _Parser(dialect=dialect).parse_into(exp.Condition, tokens, text)
    except SqlglotError as error:
        raise ExpressionError(_syntax(text, error)) from None
    if len(trees) != 1 or trees[0] is None:
        raise ExpressionError(
            f"{shorten(text, 200)!r} is more than one statement. Write one expression and no semicolon."
        )
    return trees[0]


def _syntax(text: str, error: SqlglotError) -> str:
    places = getattr(error, "errors", None) or [{}]
    near = places[0].get("highlight")
    at = f" near {near!r}" if near else ""
    hint = ""
    if re.search(r"\bas\b", text, re.IGNORECASE) and "cast" not in text.lower():
        hint = ' A name is given in .assign(name="..."), not with `as`.'
    elif re.match(r"\s*(select|insert|update|delete|drop|create|with|from|values)\b", text, re.IGNORECASE):
        hint = " It must be an expression, not a statement."
    return (
        f'{shorten(text, 200)!r} is not a SQL expression: it cannot be read{at}.{hint} Write for example "age >= 18".'
    )


def _tokens(text: str, tokens: list[Any]) -> list[Any]:
    """The tokens with every text literal decoded by Spark's rules, whatever sqlglot made of it."""
    decoded: list[Any] = []
    end = -1
    for token in tokens:
        if token.token_type != TokenType.STRING:
            decoded.append(token)
            continue
        raw = text[token.start : token.end + 1]
        value = _decode(raw)
        if decoded and decoded[-1].token_type == TokenType.STRING and end + 1 == token.start and text[end] == raw[0]:
            # 'it''s': the two halves touch, and a doubled quote stands for itself.
            value = decoded.pop().text + raw[0] + value
        end = token.end
        decoded.append(Token(TokenType.STRING, value, token.line, token.col, token.start, token.end, []))
    return decoded


def _decode(raw: str) -> str:
    if len(raw) < 2 or raw[0] not in "'\"" or raw[-1] != raw[0]:
        raise ExpressionError(f"The text literal {raw} cannot be read. Write plain quotes: 'text'.")

    def unescape(match: re.Match[str]) -> str:
        if match[1] is None:
            return raw[0] if match[0][0] == raw[0] else match[0]
        if match[1] not in ESCAPES:
            raise ExpressionError(
                f"The escape \\{match[1]} in {raw} is not supported. Write the character itself, "
                "or \\\\ for a backslash."
            )
        return ESCAPES[match[1]]

    return re.sub(r"\\(.)|''|\"\"", unescape, raw[1:-1], flags=re.DOTALL)


def _read(node: Any, schema: Schema) -> Term:
    rule = RULES.get(type(node))
    known = ARGUMENTS.get(type(node), ("this", "expression"))
    said = [name for name, value in node.args.items() if value not in (None, False, [])]
    # sqlglot notes some of what was written beside the operands; to overlook such a note changes the meaning.
    if rule is None or not set(said) <= {*known, "negate", "safe", "typed"}:
        raise refuse_construct(type(node).__name__, _written(node))
    if type(node) in PREDICATES and any(type(value) in PREDICATES for value in node.args.values()):
        raise ExpressionError(
            f"{_written(node)!r} compares what is itself a comparison. Put one of them in brackets: (a = b) is null."
        )
    term = rule(node, schema, lambda child: _read(child, schema))
    return functions.negate(term) if node.args.get("negate") else term


def _written(node: Any) -> str:
    """The node as the user may have written it, for an error message."""
    return shorten(node.sql(dialect="spark", normalize_functions=False))


def _column(node: Any, schema: Schema, read: Read) -> Term:
    if not isinstance(node.this, exp.Identifier):
        raise refuse_construct(type(node.this).__name__, _written(node))
    if node.args.get("table") is not None:
        raise ExpressionError(
            f"{_written(node)} is a qualified name. Write the bare name of the column, "
            "in backticks if it holds a dot: `a.b`."
        )
    return column_term(schema[node.name])


def _literal(node: Any, schema: Schema, read: Read) -> Term:
    if node.is_string:
        return literal_term(node.this)
    text = node.this
    return literal_term(int(text) if text.isdecimal() else float(text))


def _negative(node: Any, schema: Schema, read: Read) -> Term:
    inner = node.this
    if isinstance(inner, exp.Literal) and not inner.is_string and inner.this.isdecimal():
        # The sign belongs to the literal: 9223372036854775808 alone does not fit.
        return literal_term(-int(inner.this))
    return arithmetic.opposite(read(inner))


def _chain(node: Any) -> list[Any]:
    """The operands of ``a op b op c`` in order. A loop, because sqlglot leans such chains to the left."""
    kind, operands = type(node), []
    while isinstance(node, kind):
        operands.append(node.expression)
        node = node.this
    return [node, *reversed(operands)]


def _connect(word: str) -> Callable[[Any, Schema, Read], Term]:
    def rule(node: Any, schema: Schema, read: Read) -> Term:
        terms = [boolean(read(operand), f"`{word.lower()}`") for operand in _chain(node)]
        every = union(term.when_true for term in terms), union(term.when_false for term in terms)
        common_true = frozenset.intersection(*(term.when_true for term in terms))
        common_false = frozenset.intersection(*(term.when_false for term in terms))
        when_true, when_false = (every[0], common_false) if word == "AND" else (common_true, every[1])
        return Term(
            f"... {word.lower()} ...",
            Type.BOOLEAN,
            f"({f' {word} '.join(term.spark for term in terms)})",
            f"({f' {word} '.join(term.duckdb for term in terms)})",
            nullable=any(term.nullable for term in terms),
            reads=union(term.reads for term in terms),
            when_true=when_true,
            when_false=when_false,
        )

    return rule


def _compare(symbol: str) -> Callable[[Any, Schema, Read], Term]:
    return lambda node, schema, read: compare(symbol, read(node.this), read(node.expression))


def compare(symbol: str, left: Term, right: Term) -> Term:
    """``left symbol right``; missing as soon as one side is."""
    type, (left, right) = common([left, right], f"`{symbol}`")
    if type is None:
        raise ExpressionError(f"null {symbol} null is never true. Write `x is null`.")
    a, b = present(left), present(right)
    return derive(
        shorten(f"{a.shown} {symbol} {b.shown}"),
        Type.BOOLEAN,
        f"({a.spark} {symbol} {b.spark})",
        f"({a.duckdb} {symbol} {b.duckdb})",
        [a, b],
        nullable=False,
    )


def _same(node: Any, schema: Schema, read: Read) -> Term:
    """``<=>``: equal, or both missing."""
    type, (left, right) = common([read(node.this), read(node.expression)], "`<=>`")
    a, b = (present(typed(term, type or Type.BOOLEAN)) for term in (left, right))
    return Term(
        "... <=> ...",
        Type.BOOLEAN,
        f"({a.spark} <=> {b.spark})",
        f"({a.duckdb} IS NOT DISTINCT FROM {b.duckdb})",
        nullable=False,
        reads=a.reads | b.reads,
    )


def _differ(node: Any, schema: Schema, read: Read) -> Term:
    return functions.negate(_same(node, schema, read))


def _in(node: Any, schema: Schema, read: Read) -> Term:
    items = node.args.get("expressions")
    if node.args.get("query") is not None or not items:
        raise ExpressionError(
            "`in` needs a list of values, for example level in ('a', 'b'). For a table of values use .join_public(...)."
        )
    _, terms = common([read(node.this), *(read(item) for item in items)], "`in`")
    value, *options = [present(typed(term, term.type or Type.BOOLEAN)) for term in terms]
    return Term(
        f"{value.shown} in (...)",
        Type.BOOLEAN,
        f"({value.spark} IN ({', '.join(option.spark for option in options)}))",
        f"({value.duckdb} IN ({', '.join(option.duckdb for option in options)}))",
        nullable=value.nullable or any(option.nullable for option in options),
        reads=union(term.reads for term in terms),
        when_true=value.when_present,
        when_false=value.when_present,
    )


def _between(node: Any, schema: Schema, read: Read) -> Term:
    if node.args.get("symmetric"):
        raise ExpressionError("`between symmetric` is not supported. Write between low and high.")
    _, terms = common([read(node.this), read(node.args["low"]), read(node.args["high"])], "`between`")
    value, low, high = (present(typed(term, term.type or Type.BOOLEAN)) for term in terms)
    return Term(
        f"{value.shown} between ...",
        Type.BOOLEAN,
        f"({value.spark} >= {low.spark} AND {value.spark} <= {high.spark})",
        f"({value.duckdb} >= {low.duckdb} AND {value.duckdb} <= {high.duckdb})",
        nullable=any(term.nullable for term in terms),
        reads=union(term.reads for term in terms),
        when_true=union(term.when_present for term in terms),
        when_false=value.when_present,
    )


def _is(node: Any, schema: Schema, read: Read) -> Term:
    term = read(node.this)
    if isinstance(node.expression, exp.Null):
        return functions.is_missing(term)
    if not isinstance(node.expression, exp.Boolean):
        raise refuse_construct("Is", _written(node))
    wanted = bool(node.expression.this)
    term = boolean(term, "is true" if wanted else "is false")
    word = "TRUE" if wanted else "FALSE"
    return Term(
        f"{term.shown} is {word.lower()}",
        Type.BOOLEAN,
        f"({term.spark} IS {word})",
        f"({term.duckdb} IS {word})",
        nullable=False,
        reads=term.reads,
        when_true=term.when_true if wanted else term.when_false,
    )


def _like(node: Any, schema: Schema, read: Read) -> Term:
    text = argument(read(node.this), Type.STRING, "`like`")
    if not isinstance(node.expression, exp.Literal) or not node.expression.is_string:
        raise ExpressionError("like needs a pattern written out as text, for example name like 'A%'.")
    pattern = node.expression.this
    if re.search(r"\\(?![\\%_])", re.sub(r"\\[\\%_]", "", pattern)):
        raise ExpressionError(
            f"The pattern {pattern!r} has a backslash before something other than %, _ or a backslash. "
            "Use contains, startswith or endswith for plain text."
        )
    if any(ord(letter) > 0xFFFF for letter in pattern):
        # Spark 4.0 takes the two halves of such a character apart and never finds it.
        raise ExpressionError(
            f"The pattern {pattern!r} has a character beyond U+FFFF. Use contains, startswith or endswith."
        )
    # Engines differ in their default escape, so both are told one; it escapes itself.
    plain = re.sub(r"\^", "^^", pattern)
    plain = re.sub(r"\\([\\%_])", lambda match: match[1] if match[1] == "\\" else "^" + match[1], plain)
    like = literal_term(plain)
    return derive(
        f"{text.shown} like ...",
        Type.BOOLEAN,
        f"({text.spark} LIKE {like.spark} ESCAPE '^')",
        f"({text.duckdb} LIKE {like.duckdb} ESCAPE '^')",
        [text],
        nullable=False,
    )


def _case(node: Any, schema: Schema, read: Read) -> Term:
    subject = node.args.get("this")
    conditions = [read(branch.this) for branch in node.args["ifs"]]
    if subject is not None:
        value = read(subject)
        conditions = [compare("=", value, condition) for condition in conditions]
    values = [read(branch.args["true"]) for branch in node.args["ifs"]]
    default = node.args.get("default")
    if default is not None:
        values.append(read(default))
    return functions.branches("case", conditions, values)


def _cast(node: Any, schema: Schema, read: Read) -> Term:
    target = node.args["to"]
    name = str(getattr(target.this, "name", "")) or "interval"
    if any(value for note, value in target.args.items() if note != "this"):
        name = f"{name}(...)"
    return cast(read(node.this), name)


def _call(node: Any, schema: Schema, read: Read) -> Term:
    if not isinstance(node.this, str):
        raise refuse_construct("Anonymous", _written(node))
    name = node.this.lower()
    if name not in functions.RULES and name not in functions.TEMPLATES:
        raise refuse_function(name, _written(node), [*functions.RULES, *functions.TEMPLATES])
    return functions.call(name, [read(arg) for arg in node.expressions])


def _operate(symbol: str) -> Callable[[Any, Schema, Read], Term]:
    return lambda node, schema, read: arithmetic.operate(symbol, read(node.this), read(node.expression))


RULES: dict[Any, Callable[[Any, Schema, Read], Term]] = {
    exp.Column: _column,
    exp.Literal: _literal,
    exp.Null: lambda node, schema, read: literal_term(None),
    exp.Boolean: lambda node, schema, read: literal_term(bool(node.this)),
    exp.Paren: lambda node, schema, read: read(node.this),
    exp.And: _connect("AND"),
    exp.Or: _connect("OR"),
    exp.Not: lambda node, schema, read: functions.negate(read(node.this)),
    exp.EQ: _compare("="),
    exp.NEQ: _compare("<>"),
    exp.LT: _compare("<"),
    exp.LTE: _compare("<="),
    exp.GT: _compare(">"),
    exp.GTE: _compare(">="),
    exp.NullSafeEQ: _same,
    exp.NullSafeNEQ: _differ,
    exp.In: _in,
    exp.Between: _between,
    exp.Is: _is,
    exp.Like: _like,
    exp.Case: _case,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Anonymous: _call,
    exp.Add: _operate("+"),
    exp.Sub: _operate("-"),
    exp.Mul: _operate("*"),
    exp.Div: _operate("/"),
    exp.Mod: _operate("%"),
    exp.IntDiv: _operate("div"),
    exp.Neg: _negative,
    exp.DPipe: lambda node, schema, read: functions.join_text([read(each) for each in _chain(node)], "||"),
}

PREDICATES = frozenset(
    {
        *(exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ),
        *(exp.In, exp.Between, exp.Is, exp.Like),
    }
)
"""Which of two of these binds tighter has changed between versions of sqlglot, so brackets must say it."""

ARGUMENTS: dict[Any, tuple[str, ...]] = {
    exp.Column: ("this", "table", "db", "catalog"),
    exp.Literal: ("this", "is_string"),
    exp.In: ("this", "expressions", "query", "unnest", "field"),
    exp.Between: ("this", "low", "high", "symmetric"),
    exp.Case: ("this", "ifs", "default"),
    exp.Cast: ("this", "to", "format"),
    exp.TryCast: ("this", "to", "format"),
    exp.Anonymous: ("this", "expressions"),
}
"""What the rule of a node reads; ``this`` and ``expression`` where it is not said."""
