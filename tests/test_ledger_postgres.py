"""A ledger in PostgreSQL, which several hosts share: a real server, where the system has one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

import dpframe as dp
from dpframe.accounting import Once, cost
from dpframe.errors import BudgetExceededError, LedgerError, OnceError

sa = pytest.importorskip("sqlalchemy")

UNIT = [cost(epsilon=1)]
COUNT = pd.DataFrame({"x": [1, 2, 3]}).dp.protect().count()


def programs() -> Path | None:
    """Where the system keeps ``initdb`` and ``postgres``."""
    known = shutil.which("initdb")
    places = [Path(known).resolve().parent] if known else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((each for each in places if (each / "initdb").exists() and (each / "postgres").exists()), None)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The directory of the socket of a server that is started for these tests, and ends with them."""
    where = programs()
    if where is None:
        pytest.skip("this system has no PostgreSQL: initdb and postgres were not found")
    home = Path(tempfile.mkdtemp(prefix="dpframe-pg-"))
    as_user = {"user": 65534, "group": 65534} if os.getuid() == 0 else {}  # PostgreSQL refuses to run as root
    if as_user:
        os.chown(home, 65534, 65534)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": home}
    data = str(home / "data")
    subprocess.run([where / "initdb", "-D", data, "-A", "trust", "-U", "dpframe"], check=True, **quiet, **as_user)  # type: ignore[call-overload]
    options = ["-D", data, "-k", str(home), "-c", "listen_addresses=", "-c", "max_connections=60"]
    process = subprocess.Popen([where / "postgres", *options], **quiet, **as_user)  # type: ignore[call-overload]
    deadline = time.monotonic() + 60
    while not (home / ".s.PGSQL.5432").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    yield str(home)
    process.send_signal(signal.SIGINT)  # it waits for no client
    process.wait(30)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(params=["pg8000", "psycopg"])
def address(request: pytest.FixtureRequest, server: str) -> str:
    """A database of its own, by each driver that is installed."""
    pytest.importorskip(request.param)
    where = f"unix_sock={server}/.s.PGSQL.5432" if request.param == "pg8000" else f"host={server}"
    name = f"t{time.time_ns()}"
    root = sa.create_engine(f"postgresql+{request.param}://dpframe@/postgres?{where}", isolation_level="AUTOCOMMIT")
    for _ in range(100):
        try:
            with root.connect() as connection:
                connection.exec_driver_sql(f"CREATE DATABASE {name}")
            break
        except sa.exc.SQLAlchemyError:
            time.sleep(0.1)  # it is starting up
    root.dispose()
    return f"postgresql+{request.param}://dpframe@/{name}?{where}"


def opened(address: str, epsilon: object = 10, **named: object) -> dp.Budget:
    return dp.Budget(epsilon=epsilon, ledger=address, name="members", **named)  # type: ignore[arg-type]


def test_a_budget_is_shared_and_exact(address: str, tmp_path: Path) -> None:
    ours, theirs = opened(address, anchor=tmp_path / "anchor"), opened(address)
    first = COUNT.release(epsilon="0.1", budget=ours, once="monday", label="nightly")
    again = COUNT.release(epsilon="0.1", budget=theirs, once="monday")
    pd.testing.assert_frame_equal(first, again)
    with theirs.part(epsilon=9) as part:
        COUNT.release(epsilon=2, budget=part)
        assert (ours.remaining, part.remaining) == (0.9, 7)
        with pytest.raises(BudgetExceededError):
            COUNT.release(epsilon=1, budget=ours)
    assert ours.remaining == theirs.remaining == 7.9
    assert ours.history()["label"].tolist() == ["nightly", ""]
    with pytest.raises(OnceError):
        COUNT.release(epsilon="0.2", budget=theirs, once="monday")
    with pytest.raises(LedgerError, match="another name"):
        opened(address, 11)
    assert opened(address, anchor=tmp_path / "anchor").remaining == 7.9


def test_threads_with_connections_of_their_own_fill_it_to_the_unit(address: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        budgets = list(pool.map(lambda _: opened(address, 100), range(6)))  # all make the tables at once

        def work(budget: dp.Budget) -> int:
            granted = 0
            for _ in range(40):
                try:
                    budget.charge(UNIT, "q", "m")
                    granted += 1
                except BudgetExceededError:
                    pass
            return granted

        assert sum(pool.map(work, budgets)) == 100
    assert opened(address, 100).remaining == 0


def test_processes_that_are_killed_lose_no_charge(address: str, tmp_path: Path) -> None:
    opened(address, 10**6)
    children = []
    for at in range(3):
        child = os.fork()
        if child == 0:
            try:
                budget = opened(address, 10**6)
                for number in range(10**6):
                    budget.charge(UNIT, "q", "m", label=f"{at}-{number}")
                    with (tmp_path / f"seen{at}").open("a") as seen:
                        seen.write(f"{at}-{number}\n")
            finally:
                os._exit(1)
        children.append(child)
    deadline = time.monotonic() + 120
    while sum(path.read_text().count("\n") for path in tmp_path.iterdir()) < 40 and time.monotonic() < deadline:
        time.sleep(0.05)
    for child in children:
        os.kill(child, 9)
        os.waitpid(child, 0)
    seen = {label for path in tmp_path.iterdir() for label in path.read_text().split("\n")[:-1]}
    budget = opened(address, 10**6)
    charged = budget.history()["label"].tolist()
    assert len(seen) > 20 and seen <= set(charged) and len(charged) == len(set(charged)) == budget.spent
    assert len(charged) - len(seen) <= 3


def test_an_edited_or_emptied_ledger_is_refused(address: str, tmp_path: Path) -> None:
    anchor = tmp_path / "anchor"
    budget = opened(address, anchor=anchor)
    for at in range(5):
        budget.charge(UNIT, "q", "m", once=Once(f"k{at}", "p"))
    engine = sa.create_engine(address)
    with engine.begin() as by_hand:
        by_hand.exec_driver_sql("UPDATE dpframe_records SET amount = '1/2 0' WHERE number = 3")
    with pytest.raises(LedgerError, match="Record 3"):
        opened(address)
    with engine.begin() as by_hand:
        by_hand.exec_driver_sql("DELETE FROM dpframe_records")
        by_hand.exec_driver_sql("UPDATE dpframe_head SET records = 0, digest = ''")
    with pytest.raises(LedgerError, match="older"):
        budget.charge(UNIT, "q", "m")
    with pytest.raises(LedgerError, match="behind its anchor"):
        opened(address, anchor=anchor)
    engine.dispose()


def test_a_server_that_is_gone_is_one_clear_error(address: str) -> None:
    with pytest.raises(LedgerError, match="cannot be used"):
        opened(address.replace("/.s.PGSQL", "/nowhere/.s.PGSQL").replace("host=", "host=/nowhere"))
