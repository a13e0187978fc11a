"""The whitelist of functions: what each takes and gives, and how each engine is told.

A row of :data:`TEMPLATES` covers a function whose arguments have fixed types. The others, whose type follows
their arguments', are a few lines of Python each in :data:`RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from dpframe.errors import ExpressionError
from dpframe.plan import Type
from dpframe.sql import arithmetic, times
from dpframe.sql.arguments import argument, literal_integer, literal_text
from dpframe.sql.casts import cast
from dpframe.sql.terms import (
    Term,
    boolean,
    choose,
    common,
    derive,
    literal_term,
    present,
    typed,
    usable,
)

INTEGER, FLOAT, STRING, DATE, TIMESTAMP = Type.INTEGER, Type.FLOAT, Type.STRING, Type.DATE, Type.TIMESTAMP


class Template(NamedTuple):
    """A function whose arguments have fixed types; missing wherever an argument is."""

    takes: tuple[Type, ...]
    gives: Type
    spark: str
    duckdb: str


def _of_date(spark: str, duckdb: str) -> Template:
    return Template((DATE,), INTEGER, f"CAST({spark} AS BIGINT)", f"CAST({duckdb} AS BIGINT)")


def _of_text(function: str, duckdb: str) -> Template:
    return Template((STRING, STRING), Type.BOOLEAN, function + "({0}, {1})", duckdb + "({0}, {1})")


_LENGTH = Template((STRING,), INTEGER, "CAST(length({0}) AS BIGINT)", "CAST(length({0}) AS BIGINT)")
_DAY = _of_date("day({0})", "day({0})")
_DATEDIFF = Template(
    (DATE, DATE), INTEGER, "CAST(datediff({0}, {1}) AS BIGINT)", "CAST(date_diff('day', {1}, {0}) AS BIGINT)"
)
_SQRT = Template((FLOAT,), FLOAT, "sqrt((CASE WHEN {0} >= 0D THEN {0} END))", "sqrt((CASE WHEN {0} >= 0 THEN {0} END))")

TEMPLATES = {
    "year": _of_date("year({0})", "year({0})"),
    "quarter": _of_date("quarter({0})", "quarter({0})"),
    "month": _of_date("month({0})", "month({0})"),
    "weekofyear": _of_date("weekofyear({0})", "weekofyear({0})"),
    "day": _DAY,
    "dayofmonth": _DAY,
    "dayofyear": _of_date("dayofyear({0})", "dayofyear({0})"),
    "dayofweek": _of_date("dayofweek({0})", "(dayofweek({0}) + 1)"),
    "weekday": _of_date("weekday({0})", "(isodow({0}) - 1)"),
    "unix_date": _of_date("unix_date({0})", "({0} - DATE '1970-01-01')"),
    "last_day": Template((DATE,), DATE, "last_day({0})", "CAST(last_day({0}) AS DATE)"),
    "datediff": _DATEDIFF,
    "date_diff": _DATEDIFF,
    "length": _LENGTH,
    "char_length": _LENGTH,
    "character_length": _LENGTH,
    "len": _LENGTH,
    # Without its second argument DuckDB's trim takes off every kind of blank, Spark's only spaces.
    "trim": Template((STRING,), STRING, "trim({0})", "trim({0}, ' ')"),
    "ltrim": Template((STRING,), STRING, "ltrim({0})", "ltrim({0}, ' ')"),
    "rtrim": Template((STRING,), STRING, "rtrim({0})", "rtrim({0}, ' ')"),
    "startswith": _of_text("startswith", "starts_with"),
    "endswith": _of_text("endswith", "ends_with"),
    "contains": _of_text("contains", "contains"),
    "replace": Template((STRING,) * 3, STRING, "replace({0}, {1}, {2})", "replace({0}, {1}, {2})"),
    "sqrt": _SQRT,
}

MAYBE_MISSING = frozenset(["sqrt"])
"""Templates whose value may be missing though no argument is."""

LONGEST = 2**31 - 1


def _abs(name: str, args: Sequence[Term]) -> Term:
    return arithmetic.absolute(args[0])


def _floor(name: str, args: Sequence[Term]) -> Term:
    return arithmetic.whole(args[0], name)


def _round(name: str, args: Sequence[Term]) -> Term:
    return arithmetic.rounded(args[0])


def _sign(name: str, args: Sequence[Term]) -> Term:
    x = present(arithmetic.number(args[0], name))
    zero = typed(literal_term(0), x.type or INTEGER)
    forms = [
        f"(CASE WHEN {v} > {z} THEN {one} WHEN {v} < {z} THEN {minus} WHEN {v} = {z} THEN {nil} END)"
        for v, z, one, minus, nil in (
            (x.spark, zero.spark, "1L", "(-1L)", "0L"),
            (x.duckdb, zero.duckdb, "CAST(1 AS BIGINT)", "CAST(-1 AS BIGINT)", "CAST(0 AS BIGINT)"),
        )
    ]
    return derive(f"{name}(...)", INTEGER, forms[0], forms[1], [x], nullable=False)


def is_missing(term: Term) -> Term:
    """Whether the term is null or NaN. Never missing itself."""
    if term.type is None:
        term = typed(term, Type.BOOLEAN)
    seen = present(term)
    return Term(
        f"{term.shown} is null",
        Type.BOOLEAN,
        f"({seen.spark} IS NULL)",
        f"({seen.duckdb} IS NULL)",
        nullable=False,
        reads=term.reads,
        when_false=term.when_present,
    )


def negate(term: Term) -> Term:
    """``not``: null stays null."""
    term = boolean(term, "`not`")
    return Term(
        f"not {term.shown}",
        Type.BOOLEAN,
        f"(NOT {term.spark})",
        f"(NOT {term.duckdb})",
        nullable=term.nullable,
        reads=term.reads,
        when_true=term.when_false,
        when_false=term.when_true,
    )


def _isnull(name: str, args: Sequence[Term]) -> Term:
    return is_missing(args[0])


def _isnan(name: str, args: Sequence[Term]) -> Term:
    return is_missing(arithmetic.number(args[0], name))


def _isnotnull(name: str, args: Sequence[Term]) -> Term:
    return negate(is_missing(args[0]))


def branches(name: str, conditions: Sequence[Term], values: Sequence[Term]) -> Term:
    """``case when``: the value of the first condition that is true. ``values`` may end with the ``else``."""
    type, values = common(values, name)
    if type is None:
        raise ExpressionError(f"Every branch of {name} is null. Give one a type: cast(null as bigint).")
    tests = [boolean(condition, name) for condition in conditions]
    has_else = len(values) > len(tests)
    spark = [f"WHEN {c.spark} THEN {v.spark}" for c, v in zip(tests, values, strict=False)]
    duckdb = [f"WHEN {c.duckdb} THEN {v.duckdb}" for c, v in zip(tests, values, strict=False)]
    if has_else:
        spark.append(f"ELSE {values[-1].spark}")
        duckdb.append(f"ELSE {values[-1].duckdb}")
    return choose(
        f"{name}(...)" if name == "if" else name,
        type,
        f"(CASE {' '.join(spark)} END)",
        f"(CASE {' '.join(duckdb)} END)",
        [*tests, *values],
        nullable=not has_else or any(value.nullable for value in values),
    )


def _if(name: str, args: Sequence[Term]) -> Term:
    return branches("if", args[:1], args[1:])


def _nvl2(name: str, args: Sequence[Term]) -> Term:
    return branches("if", [negate(is_missing(args[0]))], args[1:])


def _coalesce(name: str, args: Sequence[Term]) -> Term:
    type, terms = common(args, name)
    if type is None:
        raise ExpressionError(f"Every argument of {name}(...) is null. Give one a type: cast(null as bigint).")
    seen = [*(present(term) for term in terms[:-1]), terms[-1]]
    return choose(
        f"{name}(...)",
        type,
        f"coalesce({', '.join(each.spark for each in seen)})",
        f"coalesce({', '.join(each.duckdb for each in seen)})",
        seen,
        nullable=all(each.nullable for each in seen),
    )


def _extreme(name: str, args: Sequence[Term]) -> Term:
    type, terms = common(args, name)
    if type is None:
        raise ExpressionError(f"Every argument of {name}(...) is null. Give one a type: cast(null as bigint).")
    seen = [present(term) for term in terms]
    return choose(
        f"{name}(...)",
        type,
        f"{name}({', '.join(each.spark for each in seen)})",
        f"{name}({', '.join(each.duckdb for each in seen)})",
        seen,
        nullable=all(each.nullable for each in seen),
    )


def _nullif(name: str, args: Sequence[Term]) -> Term:
    type, (a, b) = common(args, name)
    if type is None:
        raise ExpressionError("Both arguments of nullif(...) are null. Give one a type: cast(null as bigint).")
    x, y = present(a), present(b)
    return choose(
        f"{name}(...)",
        type,
        f"(CASE WHEN {x.spark} = {y.spark} THEN NULL ELSE {x.spark} END)",
        f"(CASE WHEN {x.duckdb} = {y.duckdb} THEN NULL ELSE {x.duckdb} END)",
        [x, y],
        nullable=True,
    )


def join_text(args: Sequence[Term], where: str = "concat") -> Term:
    """Texts end to end; null as soon as one is null."""
    texts = [argument(term, STRING, where) for term in args]
    return derive(
        f"{where}(...)",
        STRING,
        f"concat({', '.join(each.spark for each in texts)})",
        _joined([each.duckdb for each in texts]),
        texts,
        nullable=False,
    )


def _joined(texts: Sequence[str]) -> str:
    # DuckDB's concat passes over nulls, and its parser gives up on a long chain of ||: a balanced tree of them.
    if len(texts) == 1:
        return texts[0]
    middle = len(texts) // 2
    return f"({_joined(texts[:middle])} || {_joined(texts[middle:])})"


def _concat(name: str, args: Sequence[Term]) -> Term:
    return join_text(args)


def _substring(name: str, args: Sequence[Term]) -> Term:
    text = argument(args[0], STRING, name)
    start = literal_integer(args[1], name, 1, f"{name}(x, 1, 3), or right(x, 3) for the end of the text")
    numbers = [min(start, LONGEST)]
    if len(args) == 3:
        numbers.append(min(literal_integer(args[2], name, 0, f"{name}(x, 1, 3)"), LONGEST))
    tail = ", ".join(map(str, numbers))
    spark, duckdb = f"substring({text.spark}, {tail})", f"substring({text.duckdb}, {tail})"
    return derive(f"{name}(...)", STRING, spark, duckdb, [text], nullable=False)


def _end_of_text(name: str, args: Sequence[Term]) -> Term:
    text = argument(args[0], STRING, name)
    length = min(literal_integer(args[1], name, 0, f"{name}(x, 3)"), LONGEST)
    spark, duckdb = f"{name}({text.spark}, {length})", f"{name}({text.duckdb}, {length})"
    return derive(f"{name}(...)", STRING, spark, duckdb, [text], nullable=False)


def _translate(name: str, args: Sequence[Term]) -> Term:
    text = argument(args[0], STRING, name)
    old, new = (literal_text(term, name, "translate(x, 'abc', 'ABC')") for term in args[1:])
    if len(set(old)) != len(old) or len(old) != len(new):
        raise ExpressionError(
            f"translate(x, {old!r}, {new!r}) needs two texts of the same length, the first without repetition."
        )
    a, b = literal_term(old), literal_term(new)
    spark = f"translate({text.spark}, {a.spark}, {b.spark})"
    duckdb = f"translate({text.duckdb}, {a.duckdb}, {b.duckdb})"
    return derive("translate(...)", STRING, spark, duckdb, [text], nullable=False)


def _cast(name: str, args: Sequence[Term]) -> Term:
    return cast(args[0], name)


def _operator(symbol: str) -> Callable[[str, Sequence[Term]], Term]:
    return lambda name, args: arithmetic.operate(symbol, args[0], args[1])


class Rule(NamedTuple):
    """A function in Python: how few and how many arguments it takes, and a call that works."""

    apply: Callable[[str, Sequence[Term]], Term]
    fewest: int
    most: int
    example: str


_ANY = 10_000

RULES = {
    "abs": Rule(_abs, 1, 1, "abs(x)"),
    "floor": Rule(_floor, 1, 1, "floor(x)"),
    "ceil": Rule(_floor, 1, 1, "ceil(x)"),
    "ceiling": Rule(_floor, 1, 1, "ceiling(x)"),
    "round": Rule(_round, 1, 1, "round(x)"),
    "sign": Rule(_sign, 1, 1, "sign(x)"),
    "signum": Rule(_sign, 1, 1, "signum(x)"),
    "mod": Rule(_operator("%"), 2, 2, "mod(x, 7)"),
    "try_add": Rule(_operator("+"), 2, 2, "try_add(x, y)"),
    "try_subtract": Rule(_operator("-"), 2, 2, "try_subtract(x, y)"),
    "try_multiply": Rule(_operator("*"), 2, 2, "try_multiply(x, y)"),
    "try_divide": Rule(_operator("/"), 2, 2, "try_divide(x, y)"),
    "try_mod": Rule(_operator("%"), 2, 2, "try_mod(x, y)"),
    "isnull": Rule(_isnull, 1, 1, "isnull(x)"),
    "isnotnull": Rule(_isnotnull, 1, 1, "isnotnull(x)"),
    "isnan": Rule(_isnan, 1, 1, "isnan(x)"),
    "if": Rule(_if, 3, 3, "if(x > 0, 'yes', 'no')"),
    "nvl2": Rule(_nvl2, 3, 3, "nvl2(x, 'known', 'unknown')"),
    "coalesce": Rule(_coalesce, 1, _ANY, "coalesce(x, 0)"),
    "nvl": Rule(_coalesce, 2, 2, "nvl(x, 0)"),
    "ifnull": Rule(_coalesce, 2, 2, "ifnull(x, 0)"),
    "nullif": Rule(_nullif, 2, 2, "nullif(x, 0)"),
    "greatest": Rule(_extreme, 2, _ANY, "greatest(x, y)"),
    "least": Rule(_extreme, 2, _ANY, "least(x, y)"),
    "concat": Rule(_concat, 1, _ANY, "concat(a, '-', b)"),
    "substring": Rule(_substring, 2, 3, "substring(x, 1, 3)"),
    "substr": Rule(_substring, 2, 3, "substr(x, 1, 3)"),
    "left": Rule(_end_of_text, 2, 2, "left(x, 3)"),
    "right": Rule(_end_of_text, 2, 2, "right(x, 3)"),
    "translate": Rule(_translate, 3, 3, "translate(x, 'abc', 'ABC')"),
    "trunc": Rule(times.trunc, 2, 2, "trunc(d, 'month')"),
    "date_trunc": Rule(times.date_trunc, 2, 2, "date_trunc('hour', x)"),
    "hour": Rule(times.clock, 1, 1, "hour(x)"),
    "minute": Rule(times.clock, 1, 1, "minute(x)"),
    "second": Rule(times.clock, 1, 1, "second(x)"),
    "unix_seconds": Rule(times.unix, 1, 1, "unix_seconds(x)"),
    "unix_millis": Rule(times.unix, 1, 1, "unix_millis(x)"),
    "unix_micros": Rule(times.unix, 1, 1, "unix_micros(x)"),
    "timestamp_seconds": Rule(times.of_unix, 1, 1, "timestamp_seconds(x)"),
    "timestamp_millis": Rule(times.of_unix, 1, 1, "timestamp_millis(x)"),
    "timestamp_micros": Rule(times.of_unix, 1, 1, "timestamp_micros(x)"),
    "date_add": Rule(times.date_add, 2, 2, "date_add(d, 7)"),
    "dateadd": Rule(times.date_add, 2, 2, "dateadd(d, 7)"),
    "date_sub": Rule(times.date_add, 2, 2, "date_sub(d, 7)"),
    "bigint": Rule(_cast, 1, 1, "bigint(x)"),
    "int": Rule(_cast, 1, 1, "int(x)"),
    "double": Rule(_cast, 1, 1, "double(x)"),
    "string": Rule(_cast, 1, 1, "string(x)"),
    "boolean": Rule(_cast, 1, 1, "boolean(x)"),
    "date": Rule(_cast, 1, 1, "date(x)"),
    "timestamp": Rule(_cast, 1, 1, "timestamp(x)"),
}


def call(name: str, args: Sequence[Term]) -> Term:
    """The value of the function ``name``, which must be in the whitelist.

    Raises
    ------
    ExpressionError
        The function takes another number of arguments, or one that must be written out is not.
    ColumnTypeError
        An argument is of a type that it does not take.
    """
    rule = RULES.get(name)
    if rule is not None:
        if not rule.fewest <= len(args) <= rule.most:
            raise _count(name, len(args), rule.example)
        if rule.apply not in (_isnull, _isnotnull, _nvl2):
            for arg in args:
                usable(arg, name)
        return rule.apply(name, args)
    template = TEMPLATES[name]
    if len(args) != len(template.takes):
        raise _count(name, len(args), f"{name}({', '.join('xyz'[: len(template.takes)])})")
    terms = [argument(arg, type, name) for arg, type in zip(args, template.takes, strict=True)]
    return derive(
        f"{name}(...)",
        template.gives,
        template.spark.format(*(term.spark for term in terms)),
        template.duckdb.format(*(term.duckdb for term in terms)),
        terms,
        nullable=name in MAYBE_MISSING,
    )


def _count(name: str, given: int, example: str) -> ExpressionError:
    return ExpressionError(f"{name} cannot take {given} argument{'' if given == 1 else 's'}. Write {example}.")
