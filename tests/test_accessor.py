"""The accessor: there on every frame whatever is imported first, and nothing else is imported for it."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pandas as pd
import pytest

import dpframe as dp
from dpframe.accessor import Accessor

LIBRARIES = {
    "pandas": "from pandas import DataFrame",
    "classic": "from pyspark.sql.classic.dataframe import DataFrame",
    "connect": "from pyspark.sql.connect.dataframe import DataFrame",
    "pandas-on-Spark": "from pyspark.pandas import DataFrame",
}


def fresh(code: str) -> str:
    """What a new interpreter prints."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_brings_no_frame_library_and_no_engine() -> None:
    heavy = ["pyspark", "pandas", "numba", "duckdb", "sqlglot", "py4j", "grpc"]
    assert fresh(f"import sys, dpframe; print([name for name in {heavy} if name in sys.modules])") == "[]"


@pytest.mark.parametrize("order", ["dpframe first", "library first"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_attached(library: str, order: str) -> None:
    """One interpreter for each case: what is imported cannot be taken back."""
    if library != "pandas":
        pytest.importorskip("pyspark")
    lines = ["import dpframe", LIBRARIES[library]]
    # An instance, not only the class: a Spark frame answers any name with a column, if its class has none.
    show = "print(type(DataFrame.__new__(DataFrame).dp).__qualname__, DataFrame.dp.__qualname__)"
    code = "\n".join([*(lines if order == "dpframe first" else reversed(lines)), show])
    assert fresh(code) == "Accessor Accessor"


def test_no_session_is_started() -> None:
    pytest.importorskip("pyspark")
    code = """
        import dpframe
        from pyspark.sql import DataFrame, SparkSession
        print(DataFrame.dp.__qualname__, SparkSession.getActiveSession())
        """
    assert fresh(code) == "Accessor None"


def test_threads_that_import_at_once() -> None:
    code = """
        import importlib, sys, threading
        sys.setswitchinterval(1e-5)
        start, failures = threading.Barrier(8), []
        def load(name):
            start.wait()
            try:
                importlib.import_module(name)
            except Exception as error:
                failures.append(error)
        threads = [threading.Thread(target=load, args=[name]) for name in ("pandas", "dpframe") * 4]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        import pandas, dpframe.accessor
        watching = [f for f in sys.meta_path if type(f).__module__ == "dpframe.accessor"]
        print(failures, len(watching), isinstance(pandas.DataFrame().dp, dpframe.accessor.Accessor))
        """
    assert fresh(code) == "[] 1 True"


def test_import_while_another_thread_is_half_way_through_pandas() -> None:
    # pandas is in sys.modules, but has no DataFrame yet, and its loader was found before ours was there.
    code = """
        import sys, threading, time
        import pyarrow.compute
        class Slow:
            def find_spec(self, name, path=None, target=None):
                if name == "pandas.core.api":
                    time.sleep(1)
        sys.meta_path.insert(0, Slow())
        def load():
            import pandas
        thread = threading.Thread(target=load)
        thread.start()
        while "pandas" not in sys.modules:
            time.sleep(0.001)
        half_way = not hasattr(sys.modules["pandas"], "DataFrame")
        import dpframe
        thread.join()
        import pandas
        print(half_way, hasattr(pandas.DataFrame, "dp"))
        """
    assert fresh(code) == "True True"


def test_modules_keep_their_own_loaders() -> None:
    code = """
        import dpframe, importlib, inspect, pandas
        for _ in range(2):
            assert type(pandas.__spec__.loader).__name__ == "SourceFileLoader", pandas.__spec__
            assert pandas.__loader__ is pandas.__spec__.loader
            assert inspect.getsource(pandas).startswith("from __future__")
            importlib.reload(pandas)
        print(pandas.DataFrame.dp.__qualname__)
        """
    assert fresh(code) == "Accessor"


def test_other_imports_pass_by() -> None:
    # A missing module is reported as missing, and a module of a like name is left alone.
    code = """
        import dpframe, importlib.util
        print(importlib.util.find_spec("pandas_of_nobody"), importlib.util.find_spec("json").loader.__class__.__name__)
        """
    assert fresh(code) == "None SourceFileLoader"


def test_a_column_called_dp_stays_reachable() -> None:
    frame = pd.DataFrame({"dp": [1, 2, 3]})
    assert frame["dp"].tolist() == [1, 2, 3]
    assert isinstance(frame.dp, Accessor)
    assert frame.dp.protect().sum("dp", 0, 9).release(budget=dp.Budget.unlimited())["dp_sum"].tolist() == [6]


def test_listed_for_completion() -> None:
    assert "dp" in dir(pd.DataFrame())


def test_holds_no_state() -> None:
    frame = pd.DataFrame({"x": [1]})
    first = frame.dp
    assert frame.dp is not first  # nothing is cached on the frame, so nothing can go stale
    assert list(vars(first)) == ["_frame"] and first._frame is frame
    assert "dp" not in vars(frame) and not frame.attrs


def test_shows_no_rows() -> None:
    frame = pd.DataFrame({"name": ["SECRET-4711"], "x": [47110815]})
    private = frame.dp.protect(id="name").bound(rows=1)
    grouped = private.groupby("x", keys=[1, 2])
    shown = [frame.dp, private, grouped, grouped.count(), private.plan, grouped.count().question]
    for each in shown:
        texts = [repr(each), str(each), f"{each}"]
        texts += [each._repr_html_()] if hasattr(each, "_repr_html_") else []
        assert not any("SECRET" in text or "4711" in text for text in texts), texts
