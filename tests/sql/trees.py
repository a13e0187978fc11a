"""Random expressions of a given type over the nasty table, as the text that a user might write."""

from __future__ import annotations

from hypothesis import strategies as st
from nasty import INTEGERS, TEXTS

from dpframe.plan import Type

Text = st.SearchStrategy[str]


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


LEAVES: dict[Type, Text] = {
    Type.INTEGER: st.sampled_from([*"iiijjj", *(str(value) for value in INTEGERS if value is not None)]),
    Type.FLOAT: st.sampled_from([*"xxyy", "0.0", "-0.0", "0.5", "-2.5", "1e308", "5e-324", "cast(null as double)"]),
    Type.STRING: st.sampled_from(
        [*"sssttt", "number", "calendar", *(quoted(text) for text in TEXTS if text is not None)]
    ),
    Type.DATE: st.sampled_from([*"dddee", "date '0001-01-01'", "date '9999-12-31'", "date '2024-02-29'"]),
    Type.BOOLEAN: st.sampled_from([*"ppqq", "true", "false", "cast(null as boolean)"]),
}

FORMS = {
    Type.INTEGER: [
        *(
            "({i} + {i})",
            "({i} - {i})",
            "({i} * {i})",
            "({i} % {i})",
            "({i} div {i})",
            "(- {i})",
            "abs({i})",
            "sign({f})",
        ),
        *("floor({f})", "ceil({f})", "cast({f} as bigint)", "cast({s} as bigint)", "cast({b} as int)", "length({s})"),
        *("year({d})", "month({d})", "dayofweek({d})", "weekofyear({d})", "datediff({d}, {d})", "sign({i})"),
    ],
    Type.FLOAT: [
        *(
            "({f} + {f})",
            "({f} - {i})",
            "({f} * {f})",
            "({f} / {f})",
            "({i} / {i})",
            "({f} % {f})",
            "(- {f})",
            "abs({f})",
        ),
        *("sqrt({f})", "round({f})", "cast({i} as double)", "cast({s} as double)", "nullif({f}, {i})"),
    ],
    Type.STRING: [
        *(
            "({s} || {s})",
            "concat({s}, {s}, {s})",
            "substring({s}, 2, 3)",
            "left({s}, 2)",
            "right({s}, 3)",
            "trim({s})",
        ),
        *("replace({s}, {s}, {s})", "cast({i} as string)", "cast({d} as string)", "cast({b} as string)"),
    ],
    Type.DATE: [
        *("date_add({d}, {i})", "date_sub({d}, {i})", "trunc({d}, 'week')", "trunc({d}, 'quarter')", "last_day({d})"),
        "cast({s} as date)",
    ],
    Type.BOOLEAN: [
        *("({b} and {b})", "({b} or {b})", "(not {b})", "({b} is true)", "({b} is not false)", "({s} like '%a_%')"),
        *(
            "startswith({s}, {s})",
            "contains({s}, {s})",
            "isnan({f})",
            "({f} in ({f}, 0.0, {i}))",
            "({i} between {f} and {i})",
        ),
        *(f"({{{kind}}} {op} {{{kind}}})" for kind in "ifsdb" for op in ("=", "<>", "<", ">=", "<=>")),
        *(f"({{{kind}}} is {maybe}null)" for kind in "ifsdb" for maybe in ("", "not ")),
        *(f"({{{kind}}} {maybe}in ({{{kind}}}, {{{kind}}}))" for kind in "ifsdb" for maybe in ("", "not ")),
        *("({f} < {i})", "({i} = {f})", "cast({i} as boolean)"),
    ],
}
ANY = [
    *("if({b}, {}, {})", "case when {b} then {} when {b} then {} end", "coalesce({}, {})", "greatest({}, {}, {})"),
    *("least({}, {})", "nullif({}, {})", "case {} when {} then {} else {} end"),
]
LETTERS = {"i": Type.INTEGER, "f": Type.FLOAT, "s": Type.STRING, "d": Type.DATE, "b": Type.BOOLEAN}


@st.composite
def trees(draw: st.DrawFn, type: Type, depth: int = 3) -> str:
    """An expression of that type, at most ``depth`` calls deep."""
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        return draw(LEAVES[type])
    letter = next(letter for letter, each in LETTERS.items() if each is type)
    forms = [*FORMS[type], *(form.replace("{}", f"{{{letter}}}") for form in ANY)]
    pieces = draw(st.sampled_from(forms)).split("{")
    text = pieces[0]
    for piece in pieces[1:]:
        text += draw(trees(LETTERS[piece[0]], depth - 1)) + piece[2:]
    return text


def any_tree() -> Text:
    return st.sampled_from(list(LETTERS.values())).flatmap(lambda type: trees(type))
