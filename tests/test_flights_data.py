"""The flights are the ones whose figures the other tests quote."""

from flights import ROWS, flights


def test_the_flights_are_those_we_know():
    table = flights()
    assert len(table) == ROWS == 336_776
    assert table["tailnum"].nunique() == 4_043
    assert table["tailnum"].isna().any()
    assert set(table["origin"]) == {"EWR", "JFK", "LGA"}
    assert table["carrier"].nunique() == 16


def test_columns_come_in_the_order_asked_for():
    assert list(flights(["tailnum", "origin"]).columns) == ["tailnum", "origin"]
