"""The names of ``dp.kernels``: each is its sampler, whatever was imported before, and none costs a thing at import."""

import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dpframe import kernels

MODULES = sorted(path.stem for path in Path(kernels.__file__).parent.glob("*.py") if path.stem != "__init__")


def fresh(code: str) -> str:
    """What a new process prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_every_name_is_a_function_that_says_what_it_does():
    for name in kernels.__all__:
        function = getattr(kernels, name)
        assert inspect.isfunction(function) and function.__name__ == name
        assert "Examples" in function.__doc__ or "------" not in function.__doc__
    assert set(kernels.__all__) == set(kernels._HOME) <= set(dir(kernels))
    with pytest.raises(AttributeError, match="rounded_laplace"):
        _ = kernels.rounded_laplace


def test_no_module_has_the_name_of_a_sampler():
    """Importing it would put the module in the sampler's place."""
    assert not set(MODULES) & set(kernels.__all__)
    assert {"exponential_tails", "normal", "heavy"} <= set(MODULES)


@pytest.mark.parametrize("order", [MODULES, MODULES[::-1]], ids=["forwards", "backwards"])
def test_names_stay_functions_in_any_order_of_imports(order):
    imports = "; ".join(f"import dpframe.kernels.{module}" for module in order)
    ask = "from dpframe import kernels; print(all(callable(getattr(kernels, name)) for name in kernels.__all__))"
    assert fresh(f"{imports}; {ask}") == fresh(f"import dpframe; dpframe.kernels.laplace; {imports}; {ask}") == "True"


def test_kernels_are_an_attribute_that_costs_nothing_until_used():
    code = (
        "import sys, dpframe as dp; dp.kernels.__all__; print('numba' in sys.modules, dp.kernels.gaussian(3, 2.0).size)"
    )
    assert fresh(code) == "False 3"


@pytest.mark.parametrize("home", ["writeable", pytest.param("none", marks=pytest.mark.slow)])
def test_kernels_work_where_the_package_cannot_be_written(tmp_path, home):
    """Nothing can be cached beside the package: a file is where its directory would be, which stops root as well."""
    package = tmp_path / "site" / "dpframe"
    shutil.copytree(Path(kernels.__file__).parent.parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "kernels" / "__pycache__").touch()
    place = tmp_path / "home" if home == "writeable" else Path(os.devnull) / "home"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    environment |= {"PYTHONPATH": str(tmp_path / "site"), "HOME": str(place), "XDG_CACHE_HOME": str(place)}
    code = "import dpframe; print(dpframe.__file__, dpframe.kernels.discrete_laplace(3, 2.0, key=bytes(32)).tolist())"
    run = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    drawn = kernels.discrete_laplace(3, 2.0, key=bytes(32)).tolist()
    assert run.stdout.strip() == f"{package / '__init__.py'} {drawn}"
    assert list(place.rglob("*.nbi")) if home == "writeable" else not place.exists()
