"""What is refused by name, and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from dpframe.errors import ExpressionError


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


AGGREGATES = _words(
    """
    any any_value approx_count_distinct approx_percentile array_agg avg bit_and bit_or bit_xor bool_and bool_or
    collect_list collect_set corr count count_distinct count_if covar_pop covar_samp every first first_value
    grouping histogram histogram_numeric kurtosis last last_value listagg max max_by mean median min min_by mode
    percentile percentile_approx product quantile regr_slope skewness some std stddev stddev_pop stddev_samp
    string_agg sum try_avg try_sum var_pop var_samp variance
    """
)

WINDOWS = _words("cume_dist dense_rank lag lead nth_value ntile percent_rank rank row_number")

UNSTEADY = _words(
    """
    curdate current_catalog current_database current_date current_schema current_time current_timestamp
    current_timezone current_user input_file_name localtimestamp monotonically_increasing_id now rand randn random
    randstr session_user shuffle spark_partition_id uniform unix_timestamp user uuid version
    """
)

REASONS = {
    "lower lcase upper ucase initcap": (
        "the engines disagree on letters outside ASCII, such as the dotted İ or the final ς. Change the case "
        "before .dp, list the spellings (country in ('us', 'US')), or fold ASCII with "
        "translate(x, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')"
    ),
    "acos asin atan atan2 cbrt cos cosh cot csc degrees exp expm1 hypot ln log log10 log1p log2 pow power "
    "radians sec sin sinh tan tanh": (
        "its last bit differs between engines, and a release must not depend on where it ran. "
        "Compute the column before .dp"
    ),
    "regexp regexp_count regexp_extract regexp_like regexp_replace rlike split": (
        "the engines' regular expressions differ. Use like, startswith, contains or in (...)"
    ),
    "date_format from_unixtime make_timestamp timestampadd timestampdiff to_timestamp to_unix_timestamp": (
        "it would depend on a format or on the session's time zone. Write cast(x as date), hour(x), unix_seconds(x) or "
        "date_trunc('hour', x)"
    ),
    "to_date": "formats differ between engines. Write cast(x as date), which reads year-month-day",
    "make_date": "it is not supported. Write cast(x as date) for text as year-month-day",
    "add_months months_between": ("it is not supported. Write date_add(d, 30), or compare year(d) * 12 + month(d)"),
    "nanvl": "NaN already counts as missing. Write coalesce(x, 0.0)",
    "aggregate array exists explode filter map named_struct reduce struct transform": (
        "an expression is one text, number, boolean or date per row. Use .map(...) or .flat_map(...)"
    ),
    "binary decimal float smallint timestamp_ltz timestamp_ntz tinyint": (
        "it is no type of ours. Cast to bigint, double, string, boolean, date or timestamp"
    ),
}

_REASON = {name: reason for names, reason in REASONS.items() for name in names.split()}


def refuse_function(name: str, shown: str, allowed: Iterable[str]) -> ExpressionError:
    """The error for a function outside the whitelist; ``shown`` is the call as the user wrote it."""
    if name in AGGREGATES:
        return ExpressionError(
            f"{shown} is an aggregate, and an expression is computed row by row: put it in .agg(), "
            "for example .agg(n=dp.count(), total=dp.sum('x', 0, 100))."
        )
    if name in WINDOWS:
        return ExpressionError(
            f"{shown} is a window function, which looks at other rows; an expression sees one row at a time. "
            "Use .groupby(...).agg(...), or .bound(...) to keep few rows per group."
        )
    if name in UNSTEADY:
        return ExpressionError(
            f"{shown} gives another value each time it runs, so the release could not be repeated. "
            "Write the value itself, for example date '2024-02-29'."
        )
    if name in _REASON:
        return ExpressionError(f"{shown} cannot be used: {_REASON[name]}.")
    names = sorted(allowed)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return ExpressionError(f"The function {name} is not known.{hint} The functions are: {', '.join(names)}.")


_SUBQUERY = "a sub-query. Join with .join_public(...) or .join(...)"
_LAMBDA = "a lambda or a path into JSON. Use .map(...), or take the value out before .dp"
_BITWISE = "a bitwise operator. Write and, or, not for conditions and || to join text"
_PARAMETER = "a parameter. Put the value into the text"
_REGEX = "a regular expression, which the engines read differently. Use like, startswith, contains or in (...)"

CONSTRUCTS = {
    "Alias": 'a value with a name. Name the column in .assign(name="...")',
    "Anonymous": "a function with a quoted name. Write the bare name: year(d)",
    "AtTimeZone": "a time zone. Turn timestamps into a date before .dp",
    "BitwiseAnd": _BITWISE,
    "BitwiseNot": _BITWISE,
    "BitwiseOr": _BITWISE,
    "BitwiseXor": _BITWISE,
    "Bracket": "an index into a list. Take the element out before .dp",
    "Concat": "two text literals side by side. Write one, or join them with ||",
    "Distinct": "`distinct`. Use dp.count_distinct(...) in .agg()",
    "Dot": "a qualified name. Write the bare name, in backticks if it holds a dot: `a.b`",
    "Escape": "`like` with its own escape. Escape with a backslash: name like '50\\\\%'",
    "Exists": _SUBQUERY,
    "Filter": '`filter (where ...)`. Filter before: .filter("...")',
    "HexString": "a hexadecimal literal. Write the number or the text",
    "ILike": "`ilike`, which the engines read differently outside ASCII. Use like",
    "IgnoreNulls": "`ignore nulls`. Use .drop_null(...)",
    "Interval": "an interval. Write date_add(d, 7), date_sub(d, 7) or datediff(a, b)",
    "JSONExtract": _LAMBDA,
    "Kwarg": "a named argument. Write the arguments in order",
    "Lambda": _LAMBDA,
    "Parameter": _PARAMETER,
    "Placeholder": _PARAMETER,
    "PropertyEQ": "a value with a name",
    "RawString": "a raw text literal. Write plain quotes",
    "RegexpLike": _REGEX,
    "Select": _SUBQUERY,
    "Star": "not a value. Name the columns",
    "StrToDate": "a cast with a format. Write cast(x as date), which reads year-month-day",
    "Subquery": _SUBQUERY,
    "Tuple": "a list of values. It may stand only after `in`: level in ('a', 'b')",
    "Window": "a window, which looks at other rows. Use .groupby(...).agg(...)",
}


def refuse_construct(kind: str, text: str) -> ExpressionError:
    """The error for a piece of syntax that no rule covers; ``kind`` is sqlglot's name for it."""
    if kind.startswith("Current") or kind in ("Localtime", "Localtimestamp", "SessionUser"):
        return refuse_function("now", text, ())
    what = CONSTRUCTS.get(kind, f"a construct ({kind}) that expressions do not have")
    return ExpressionError(
        f"{text!r} is {what}. Expressions have columns, literals, comparisons, and/or/not, in, between, "
        "is null, like, case, cast, + - * / % div, || and scalar functions, for example "
        "\"age >= 18 and level in ('a', 'b')\"."
    )
