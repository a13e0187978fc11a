"""What a condition says of single columns, plainly enough for a file's statistics to skip by it."""

from __future__ import annotations

from typing import Any

from sqlglot import expressions as exp

from dpframe.plan import Limit, Schema, Type
from dpframe.sql.grammar import parse

OPERATORS = {exp.EQ: "=", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
TURNED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

PLAIN = {Type.INTEGER: int, Type.STRING: str}
"""The types whose comparison with a literal means the same in a file: floats have NaN, dates are read from text."""


def limits(text: str, schema: Schema) -> tuple[Limit, ...]:
    """Comparisons of a column with literals that hold in every row for which a condition is true.

    Not all that could be said: what is missing here only costs time, for the condition itself is still applied.

    Parameters
    ----------
    text
        A condition that has been checked.

    Examples
    --------
    >>> from dpframe.plan import Column
    >>> schema = Schema((Column("age", "c0", Type.INTEGER), Column("land", "c1", Type.STRING)), width=2)
    >>> [(limit.ref, limit.operator, limit.values) for limit in limits("18 <= age and land in ('CH', 'DE')", schema)]
    [('c0', '>=', (18,)), ('c1', 'in', ('CH', 'DE'))]
    >>> limits("age > 18 or land = 'CH'", schema)
    ()
    """
    found: list[Limit] = []
    left = [parse(text)]
    while left:
        node = left.pop()
        if node.args.get("negate"):
            continue
        if isinstance(node, exp.Paren):
            left.append(node.this)
        elif isinstance(node, exp.And):
            left += [node.expression, node.this]
        elif type(node) in OPERATORS:
            operator = OPERATORS[type(node)]
            found += _limit(node.this, operator, [node.expression], schema)
            found += _limit(node.expression, TURNED[operator], [node.this], schema)
        elif isinstance(node, exp.Between) and not node.args.get("symmetric"):
            found += _limit(node.this, ">=", [node.args["low"]], schema)
            found += _limit(node.this, "<=", [node.args["high"]], schema)
        elif isinstance(node, exp.In) and node.expressions:
            found += _limit(node.this, "in", node.expressions, schema)
    return tuple(found)


def _limit(column: Any, operator: str, literals: list[Any], schema: Schema) -> list[Limit]:
    if not isinstance(column, exp.Column) or column.name not in schema:
        return []
    known = schema[column.name]
    values = [_value(literal) for literal in literals]
    if any(type(value) is not PLAIN.get(known.type) for value in values):
        return []
    return [Limit(known.ref, operator, tuple(value for value in values if value is not None))]


def _value(node: Any) -> int | str | None:
    if isinstance(node, exp.Neg):
        inner = _value(node.this)
        return -inner if isinstance(inner, int) else None
    if not isinstance(node, exp.Literal):
        return None
    if node.is_string:
        return str(node.this)
    return int(node.this) if node.this.isdecimal() else None
