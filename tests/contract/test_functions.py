"""Python functions of rows: what they return on every engine, and that nothing of a row gets out when they fail."""

from __future__ import annotations

import datetime
import logging
import sys
import threading
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from engines import Engine, exactly

import dpframe as dp
from dpframe import errors
from dpframe.privacy import analyse

DAYS = [datetime.date(2024, 2, 29), datetime.date(1, 1, 1), None, datetime.date(9999, 12, 31)]


def table(engine: Engine) -> Any:
    frame = pd.DataFrame(
        {
            "user": ["u", "v", "u", None],
            "n": pd.array([1, 2, None, 4], dtype="Int64"),
            "x": [0.5, np.nan, -0.0, np.inf],
            "p": [True, False, True, False],
            "d": pd.array(DAYS, dtype="date32[pyarrow]" if engine.name == "pandas" else "object"),
            "when": pd.Timestamp("2024-01-01"),
        }
    )
    return engine.frame(frame, "user string, n bigint, x double, p boolean, d date, when timestamp")


def rows(engine: Engine, private: Any, column: str, keys: list[Any]) -> list[int]:
    """How many rows have each value of a column; all rows last."""
    counts = engine.rows(exactly(private.groupby(column, keys=keys).count()))["count"]
    return [*counts, engine.rows(exactly(private.count()))["count"][0]]


def seen(engine: Engine, private: Any, keys: list[str]) -> dict[str, int]:
    counts = engine.rows(exactly(private.groupby("seen", keys=keys).count()))
    return {key: count for key, count in zip(counts["seen"], counts["count"], strict=True) if count}


def test_a_function_sees_plain_python_values(engine: Engine) -> None:
    def describe(row: Any) -> dict[str, str]:
        return {"seen": repr(row)}

    private = table(engine).dp.protect().map(describe, {"seen": str})
    wanted = [
        "{'user': 'u', 'n': 1, 'x': 0.5, 'p': True, 'd': datetime.date(2024, 2, 29)",
        "{'user': 'v', 'n': 2, 'x': None, 'p': False, 'd': datetime.date(1, 1, 1)",
        "{'user': 'u', 'n': None, 'x': 0.0, 'p': True, 'd': None",
        "{'user': None, 'n': 4, 'x': inf, 'p': False, 'd': datetime.date(9999, 12, 31)",
    ]
    wanted = [row + ", 'when': datetime.datetime(2024, 1, 1, 0, 0)}" for row in wanted]
    assert seen(engine, private, wanted) == dict.fromkeys(wanted, 1)


def test_every_type_comes_back(engine: Engine) -> None:
    def given(row: Any) -> dict[str, Any]:
        return {
            "i": np.int32(7) if row["p"] else -(2**63),
            "f": 2 if row["p"] else np.float32(0.5),
            "b": np.bool_(row["p"]),
            "s": "ä" if row["p"] else None,
            "t": row["d"],
            "more": "is left out",
        }

    schema = {"i": int, "f": float, "b": "boolean", "s": "string", "t": datetime.date}
    private = table(engine).dp.protect().map(given, schema)
    assert private.columns == list(schema)
    assert rows(engine, private, "i", [7, -(2**63)]) == [2, 2, 4]
    assert rows(engine, private, "b", [True, False]) == [2, 2, 4]
    assert rows(engine, private, "s", [None, "ä"]) == [2, 2, 4]
    assert rows(engine, private, "t", [DAYS[0], None]) == [1, 1, 4]
    assert engine.rows(exactly(private.sum("f", 0, 9)))["f_sum"][0] == 5.0


WRONG: list[Any] = [1.0, "1", True, 2**63, [1], {"n": 1}, object(), float("nan"), b"1"]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_a_value_of_another_type_is_the_constant(engine: Engine, wrong: Any) -> None:
    wrong = "an object" if type(wrong) is object else wrong  # which Spark could not be sent
    private = table(engine).dp.protect()
    mapped = private.map(lambda row: {"n": wrong if row["p"] else 3, "m": 1}, {"n": (int, -1), "m": int})
    assert rows(engine, mapped, "n", [-1, 3]) == [2, 2, 4]
    assert rows(engine, mapped, "m", [None, 1]) == [2, 2, 4]


def test_whatever_a_function_does_wrong_is_the_constant(
    engine: Engine, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def loud(row: Any) -> Any:
        print("CANARY", row)
        print("CANARY", row, file=sys.stderr)
        warnings.warn(f"CANARY {row}", stacklevel=1)
        logging.getLogger("mine").critical("CANARY %s", row)
        raise RuntimeError(f"CANARY {row}")

    def leaves(row: Any) -> Any:
        sys.exit(f"CANARY {row}")

    def interrupts(row: Any) -> Any:
        raise KeyboardInterrupt(row)

    def deep(row: Any) -> Any:
        return deep(row)

    bad = [loud, leaves, interrupts, deep, lambda row: None, lambda row: [], lambda row: {}, lambda row: row["nope"]]
    bad += [lambda row: {"a": 1}, lambda row: {"a": 1, "b": 1j}, lambda: 1, lambda row: "ab", lambda row: 1 / 0]
    frame = table(engine)
    if engine.name != "pandas":
        bad = [loud, leaves, lambda row: {"a": 1}]
    for function in bad:
        private = frame.dp.protect().map(function, {"a": (int, 0), "b": (float, 1.5)})
        assert rows(engine, private, "a", [0, 1]) == [4, 0, 4]
        assert engine.rows(exactly(private.sum("b", 0, 9)))["b_sum"][0] == 6.0
        flat = frame.dp.protect().flat_map(function, {"a": (int, 0), "b": (float, 1.5)}, max_rows=3)
        none = engine.name == "pandas" and function in bad[5:7]  # no rows are no failure
        assert rows(engine, flat, "a", [0, 1]) == ([0, 0, 0] if none else [4, 0, 4])
    out = capfd.readouterr()
    assert "CANARY" not in out.out + out.err + caplog.text


def test_logging_and_printing_come_back(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    disabled, out = logging.root.manager.disable, sys.stdout
    exactly(table(engine).dp.protect().map(lambda row: print(row), {"a": int}).count())
    assert logging.root.manager.disable == disabled and sys.stdout is out
    print("heard")
    assert capsys.readouterr().out == "heard\n"


def test_flat_map(engine: Engine) -> None:
    def several(row: Any) -> Any:
        return ({"k": row["n"], "at": at} for at in range(row["n"] or 0))

    private = table(engine).dp.protect().flat_map(several, {"k": int, "at": (int, -1)}, max_rows=2)
    # One row has none, one has one, one two; and one would have four, and has the constants.
    assert rows(engine, private, "k", [None, 1, 2, 4]) == [1, 1, 2, 0, 4]
    assert rows(engine, private, "at", [-1, 0, 1, 2]) == [1, 2, 1, 0, 4]
    endless = table(engine).dp.protect().flat_map(lambda row: iter(lambda: {"a": 1}, None), {"a": int}, max_rows=9)
    assert rows(engine, endless, "a", [None, 1]) == [4, 0, 4]


def test_columns_stay_beside_those_of_a_function(engine: Engine) -> None:
    private = table(engine).dp.protect(bounds={"x": (0, 1)}, keys={"user": ["u", "v"]})
    twice = private.flat_map(lambda row: [{"at": 1}, {"at": 2, "n": 0}], {"at": int, "n": (int, 9)}, 2, augment=True)
    assert twice.columns == ["user", "n", "x", "p", "d", "when", "at"]
    both = private.flat_map(lambda row: [{"at": 1}, {"at": 2}], {"at": int}, 2, augment=True)
    assert engine.rows(exactly(both.sum("x")))["x_sum"][0] == 2 * 1.5
    assert list(engine.rows(exactly(both.filter("at = 2").groupby("user").count()))["count"]) == [2, 1]
    assert rows(engine, twice, "n", [0, 9]) == [0, 4, 4]
    again = private.map(lambda row: {"x": 1.0}, {"x": float}, augment=True)
    assert (private.sum("x").question.open, again.sum("x").question.open) == ((), ("x",))


def test_a_function_of_all_rows_of_an_id(engine: Engine) -> None:
    def visits(rows: Any) -> Any:
        return [{"seen": repr([(row["n"], row["x"]) for row in rows]), "many": len(rows)}]

    frame = pd.DataFrame({"user": ["u", "v", "u", None, "u"], "n": [3, 1, 2, 9, 2], "x": [1.0, 2.0, 0.5, 0.0, np.nan]})
    private = engine.frame(frame, "user string, n bigint, x double").dp.protect(id="user")
    wanted = ["[(2, None), (2, 0.5), (3, 1.0)]", "[(1, 2.0)]"]
    called = private.flat_map_by_id(visits, {"seen": str, "many": int})
    assert called.columns == ["user", "seen", "many"]
    assert seen(engine, called.bound(rows=5), wanted) == dict.fromkeys(wanted, 1)
    assert engine.rows(exactly(called.bound(rows=1).sum("many", 0, 9)))["many_sum"][0] == 4
    kinds = table(engine).dp.protect(id="user")
    all_kinds = kinds.flat_map_by_id(
        lambda rows: [{"seen": repr([(row["p"], row["d"]) for row in rows])}], {"seen": str}
    )
    wanted = ["[(True, None), (True, datetime.date(2024, 2, 29))]", "[(False, datetime.date(1, 1, 1))]"]
    assert seen(engine, all_kinds.bound(rows=9), wanted) == dict.fromkeys(wanted, 1)
    fails = private.flat_map_by_id(lambda rows: 1 / 0, {"seen": (str, "none")})
    assert seen(engine, fails.bound(rows=5), ["none"]) == {"none": 2}
    many = private.flat_map_by_id(lambda rows: [{"seen": "a"}] * 50, {"seen": str}).bound(rows=7)
    assert seen(engine, many, ["a"]) == {"a": 14}


def test_an_id_stays_with_its_rows(engine: Engine) -> None:
    frame = pd.DataFrame({"user": ["u"] * 6 + ["v"], "n": range(7)})
    private = engine.frame(frame).dp.protect(id="user").bound(rows=2)
    named = private.map(lambda row: {"user": str(row["n"]), "n": 1}, {"user": str, "n": int})
    assert rows(engine, named, "n", [1])[:1] == [3]
    assert private.map(lambda row: {"n": 1}, {"n": int}).columns == ["user", "n"]
    by = private.bound(groups=1, rows_per_group=1, by="n").map(lambda row: {"m": 1}, {"m": int})
    assert rows(engine, by, "m", [1])[:1] == [2]


def test_rows_of_no_column_that_a_function_sees(engine: Engine) -> None:
    column = pd.DataFrame({"a": [[1], [2], None]})
    frame = engine.frame(
        column.astype({"a": pd.ArrowDtype(pa.list_(pa.int64()))}) if engine.name == "pandas" else column
    )
    assert rows(engine, frame.dp.protect().map(lambda row: {"n": len(row)}, {"n": int}), "n", [0]) == [3, 3]
    none = frame.dp.protect().filter("false").map(lambda row: {"n": len(row)}, {"n": int})
    assert rows(engine, none, "n", [0]) == [0, 0]


def test_noise_grows_with_the_rows_of_one_call() -> None:
    frame = pd.DataFrame({"user": ["u"], "g": ["a"], "n": [1]})

    def moved(private: Any, by: str | None = None) -> tuple[int, int]:
        query = private.groupby(by, keys=["a"]).count() if by else private.count()
        (part,) = analyse(query.question)
        return part.l1, part.l2_squared

    flat = {"function": lambda row: [], "schema": {"m": int}, "max_rows": 5, "augment": True}
    assert moved(frame.dp.protect().map(lambda row: row, {"m": int})) == (1, 1)
    assert moved(frame.dp.protect(rows=3).flat_map(**flat)) == (15, 225)
    assert moved(frame.dp.protect().flat_map(**flat).flat_map(**flat)) == (25, 625)
    groups = frame.dp.protect(rows=2, groups=3, grouping="g").flat_map(**flat)
    assert moved(groups) == (30, 900) and moved(groups, "g") == (10, 100)
    assert moved(frame.dp.protect(id="user").bound(rows=4).flat_map(**flat)) == (4, 16)


def test_files_that_stream_have_functions_of_rows(tmp_path: Any) -> None:
    pd.DataFrame({"user": ["u", "v"], "n": [1, 2]}).to_parquet(tmp_path / "log.parquet")
    private = dp.scan(tmp_path / "log.parquet").dp.protect(id="user")
    flat = private.flat_map(lambda row: [{"m": row["n"]}] * row["n"], {"m": int}, 5).bound(rows=9)
    assert exactly(flat.sum("m", 0, 9))["m_sum"][0] == 5


def test_a_function_that_cannot_be_sent_is_refused_before_anything_is_charged(engine: Engine) -> None:
    lock = threading.Lock()

    def locked(row: Any) -> Any:
        with lock:
            return {"n": 1}

    private = table(engine).dp.protect()
    if engine.name == "pandas":
        assert rows(engine, private.map(locked, {"n": "int"}), "n", [1]) == [4, 4]
        return
    with pytest.raises(errors.PlanError, match="cannot be sent"):
        private.map(locked, {"n": int})


def test_a_release_that_is_made_once_tells_joins_apart_and_refuses_functions() -> None:
    def ask(x: float, frame: pd.DataFrame, **how: Any) -> Any:
        private = pd.DataFrame({"k": [1, 2]}).dp.protect()
        joined = private.join(frame.dp.protect(), "k", **how).partition("k", [1, 2])[1]
        return joined.filter(f"x > {x}").count()

    frame = pd.DataFrame({"k": [1, 2], "x": [1.0, 2.0]})
    with dp.Budget(epsilon=1) as budget:
        first = ask(0.5, frame, unique=True).release(epsilon=0.5, once="a")
        again = ask(0.5, frame, unique=True).release(epsilon=0.5, once="a")
        assert first.equals(again) and budget.spent == 0.5
        with pytest.raises(errors.OnceError):
            ask(0.5, frame, max_matches=(1, 1)).release(epsilon=0.5, once="a")
        with pytest.raises(errors.PlanError, match="leave it out"):
            frame.dp.protect().map(dict, {"x": float}).count().release(epsilon=0.5, once="b")
        assert budget.spent == 0.5
