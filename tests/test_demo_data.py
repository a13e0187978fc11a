"""The made-up members table: what the demo and its figures rest on."""

import pandas as pd
import pytest
from pandas.api import types

from dpframe.demo_data import EDUCATION_LEVELS, members


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return members()


def test_columns_in_order(table):
    assert list(table.columns) == [
        "id",
        "name",
        "age",
        "gender",
        "education_level",
        "zip_code",
        "books_borrowed",
        "favorite_genres",
        "date_joined",
    ]


def test_size_and_ids(table):
    assert len(table) == 54_217
    assert table["id"].is_unique


def test_clipped_means_are_the_notebook_s(table):
    books = table["books_borrowed"]
    assert books.clip(0, 100).mean() == pytest.approx(19.4, abs=0.05)
    assert books.clip(0, 22).mean() == pytest.approx(11.4, abs=0.05)


def test_a_seed_is_a_table(table):
    pd.testing.assert_frame_equal(table, members())
    assert not table["age"].equals(members(seed=8)["age"])


@pytest.mark.parametrize("rows", [0, 1, 1000])
def test_any_size(rows):
    assert members(rows=rows).shape == (rows, 9)


def test_types(table):
    for column in ("id", "age", "books_borrowed"):
        assert table[column].dtype == "int64"
    for column in ("name", "gender", "education_level", "zip_code", "favorite_genres"):
        assert types.is_string_dtype(table[column].dropna())
    assert types.is_datetime64_dtype(table["date_joined"])


def test_only_zip_codes_are_missing(table):
    missing = table.isna().mean()
    assert 0.01 < missing.pop("zip_code") < 0.03
    assert not missing.any()


def test_some_names_are_not_ascii(table):
    plain = table["name"].map(str.isascii)
    assert plain.any()
    assert not plain.all()


def test_ages_and_education_fit_together(table):
    assert table["age"].between(5, 99).all()
    assert set(table["education_level"]) == set(EDUCATION_LEVELS)
    youngest = table.groupby("education_level")["age"].min()
    assert youngest["masters-degree"] >= 23
    assert youngest["doctorate-professional"] >= 26
    assert youngest["high-school-diploma"] >= 17


def test_nobody_joins_before_they_can_walk_in(table):
    years_a_member = (pd.Timestamp("2024-01-01") - table["date_joined"]).dt.days / 365.25
    assert (years_a_member >= 0).all()
    assert (years_a_member < table["age"] - 3).all()
