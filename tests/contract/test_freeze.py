"""A release is fixed: nothing that is done with it draws noise again, and it says what it is."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from engines import Engine, exactly

import dpframe as dp


def released(engine: Engine, members: pd.DataFrame, **options: object) -> object:
    private = engine.frame(members).dp.protect(id="user").bound(groups=2, rows_per_group=3)
    query = private.groupby("level", keys=["a", "b", None]).agg(n=dp.count(), age=dp.mean("age", 0, 99))
    return query.release(**{"epsilon": 0.1, "budget": dp.Budget(epsilon=1), **options})


def test_repeated_actions_give_the_same_values(engine: Engine, members: pd.DataFrame) -> None:
    answer = released(engine, members)
    assert len({engine.rows(answer).to_csv() for _ in range(5)}) == 1


def test_two_releases_differ(engine: Engine, members: pd.DataFrame) -> None:
    first, second = (engine.rows(released(engine, members)) for _ in range(2))
    # 3 cells of noise with scale over 50 agree by chance once in a million runs.
    assert list(first["n"]) != list(second["n"])


def test_spark_cannot_be_made_to_draw_again(engine: Engine, members: pd.DataFrame) -> None:
    if engine.name == "pandas":
        pytest.skip("pandas is eager: there is nothing to evaluate again")
    answer = released(engine, members)
    before = engine.rows(answer)
    answer.persist().count()
    answer.unpersist()
    answer.sparkSession.catalog.clearCache()
    pd.testing.assert_frame_equal(engine.rows(answer), before)
    twice = answer.alias("l").join(answer.alias("r"), on="n").count()
    assert twice == sum(count**2 for count in before["n"].value_counts())


def test_changed_source_data_do_not_reach_a_release(engine: Engine, tmp_path: Path) -> None:
    if engine.name == "pandas":
        frame = pd.DataFrame({"x": [1, 2, 3]})
        answer = frame.dp.protect().count().release(epsilon=1, budget=dp.Budget(epsilon=1))
        before = answer.copy()
        frame.drop(index=[0, 1, 2], inplace=True)
    else:
        source = engine.frame(pd.DataFrame({"x": [1, 2, 3]}))
        source.write.parquet(str(tmp_path / "t"))
        frame = source.sparkSession.read.parquet(str(tmp_path / "t"))
        answer = frame.dp.protect().count().release(epsilon=1, budget=dp.Budget(epsilon=1))
        before = engine.rows(answer)
        source.limit(1).write.mode("overwrite").parquet(str(tmp_path / "t"))
    pd.testing.assert_frame_equal(engine.rows(answer), before)


def test_a_release_says_what_it_is(engine: Engine, members: pd.DataFrame) -> None:
    info = released(engine, members).dp.release_info()
    assert (info.private, info.cost, info.groups, info.by) == (True, "epsilon=0.1", 3, ("level",))
    assert info.unit == "all rows of one user"
    assert info.bounds == ("at most 2 groups per id, 3 rows per group",)
    (count,) = info["n"].statistics
    assert count.mechanism == "discrete Laplace"
    share = 1 / 2 + (1 / 10 if "count of rows with" not in str(info) else 0)
    assert count.scale == pytest.approx(6 / (0.1 * share))


def test_an_unlimited_budget_marks_its_answers(engine: Engine, members: pd.DataFrame) -> None:
    private = engine.frame(members).dp.protect()
    info = exactly(private.count()).dp.release_info()
    assert (info.private, info.cost) == (False, "nothing")
    assert "NOT PRIVATE" in str(info)


def test_metadata_survive_a_round_trip_through_parquet(engine: Engine, members: pd.DataFrame, tmp_path: Path) -> None:
    answer = released(engine, members)
    path = str(tmp_path / "released.parquet")
    if engine.name == "pandas":
        answer.to_parquet(path)
        back = pd.read_parquet(path)
    else:
        answer.write.parquet(path)
        back = answer.sparkSession.read.parquet(path)
    assert back.dp.release_info() == answer.dp.release_info()
    if engine.name != "pandas":
        assert back.select("n").where("n > 0").dp.release_info() == answer.dp.release_info()


def test_an_ordinary_frame_says_that_it_is_no_release(engine: Engine, members: pd.DataFrame) -> None:
    with pytest.raises(dp.errors.FrameError, match=r"\.release\(\)"):
        engine.frame(members).dp.release_info()
