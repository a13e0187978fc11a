"""Every sampler, every argument that is out of order: a typed error, or the stated policy, and nothing silent."""

import numpy as np
import pytest
from laws import each_grid_sampler, each_sampler

from dpframe.errors import MechanismError

KEY = bytes(range(32))

REFUSED = {
    "n negative": ({"n": -1}, "n must be a whole number"),
    "n float": ({"n": 3.0}, "n must be a whole number"),
    "n boolean": ({"n": True}, "n must be a whole number"),
    "n text": ({"n": "3"}, "n must be a whole number"),
    "n nothing": ({"n": None}, "n must be a whole number"),
    "n beyond all places": ({"n": 2**63 + 1}, "n must be a whole number"),
    "start negative": ({"start": -1}, "start must be a whole number"),
    "start float": ({"start": 0.0}, "start must be a whole number"),
    "start boolean": ({"start": False}, "start must be a whole number"),
    "start beyond all places": ({"start": 2**63}, "start must be a whole number"),
    "stream negative": ({"stream": -1}, "stream must be a whole number"),
    "stream float": ({"stream": 1.5}, "stream must be a whole number"),
    "stream boolean": ({"stream": True}, "stream must be a whole number"),
    "stream beyond 64 bits": ({"stream": 2**64}, "stream must be a whole number"),
    "key short": ({"key": bytes(31)}, "A key is 32 bytes, not 31 bytes"),
    "key long": ({"key": bytes(33)}, "A key is 32 bytes, not 33 bytes"),
    "key empty": ({"key": b""}, "A key is 32 bytes, not 0 bytes"),
    "key text": ({"key": "x" * 32}, "A key is 32 bytes, not str"),
    "key mutable": ({"key": bytearray(32)}, "A key is 32 bytes, not bytearray"),
    "key array": ({"key": np.zeros(32, np.uint8)}, "A key is 32 bytes, not ndarray"),
    "vector of another length": ({"scale": np.ones(4)}, "scale must be a vector of 3 numbers"),
    "matrix": ({"scale": np.ones((3, 1))}, "scale must be a vector of 3 numbers"),
    "vector of booleans": ({"scale": np.ones(3, bool)}, "scale must be a vector of 3 numbers"),
    "vector of texts": ({"scale": np.array(["1"] * 3)}, "scale must be a vector of 3 numbers"),
    "vector of complex": ({"scale": np.ones(3, complex)}, "scale must be a vector of 3 numbers"),
    "vector of objects": ({"scale": np.array([1, None, 2], object)}, "scale must be a vector of 3 numbers"),
    "cells signed": ({"cells": np.zeros((3, 2), np.int64)}, r"cells must be a uint64 array of shape \(n, 2\)"),
    "cells flat": ({"cells": np.zeros(6, np.uint64)}, r"cells must be a uint64 array of shape \(n, 2\)"),
    "cells of three": ({"cells": np.zeros((3, 3), np.uint64)}, r"cells must be a uint64 array of shape \(n, 2\)"),
    "cells a list": ({"cells": [[1, 2]] * 3}, r"cells must be a uint64 array of shape \(n, 2\)"),
    "cells too few": ({"cells": np.zeros((2, 2), np.uint64)}, r"cells must have shape \(3, 2\)"),
    "cells and start": ({"cells": np.zeros((3, 2), np.uint64), "start": 1}, "takes the place of start="),
}


def draw(case, n=3, scale=2.0, **options):
    return case.draw(n, scale, **({"key": KEY} | options))


@each_sampler
@pytest.mark.parametrize("which", REFUSED)
def test_refused(case, which):
    arguments, text = REFUSED[which]
    out = np.full(3, 7)
    with pytest.raises(MechanismError, match=text):
        draw(case, **arguments, out=out)
    assert (out == 7).all()  # and nothing has been written


@each_sampler
def test_no_cell_is_no_error(case):
    none = np.empty(0)
    for options in ({}, {"key": None}, {"start": 2**63 - 1}, {"out": np.empty(0, np.int64)}, {"scale": none}):
        assert draw(case, 0, **options).shape == (0,)
    assert draw(case, 0, cells=np.empty((0, 2), np.uint64)).shape == (0,)
    with pytest.raises(MechanismError, match="between"):
        draw(case, 0, scale=0.0)  # public, so checked all the same


@each_sampler
def test_scales_by_cell_that_are_out_of_range_are_held_to_it(case):
    odd = [np.nan, np.inf, -np.inf, 0.0, -0.0, -1.0, 5e-324, 1e-300, 1e300, 2.0**-11, 2.0**51, 3.0]
    least, most = 2.0**-10, 2.0**50
    held = [most, most, least, least, least, least, least, least, most, least, most, 3.0]
    assert (draw(case, 12, odd) == draw(case, 12, held)).all()
    whole = np.array([0, -5, 2**62, 3])
    assert (draw(case, 4, whole) == draw(case, 4, [least, least, most, 3.0])).all()


@each_sampler
def test_scales_and_cells_of_any_layout(case):
    scales, cells = np.linspace(1, 9, 40), np.arange(160, dtype=np.uint64).reshape(40, 4)
    plain, named = scales[::2].copy(), cells[::2, ::2].copy()
    expected, by_name = draw(case, 20, plain), draw(case, 20, plain, cells=named)
    backwards = plain[::-1].copy()[::-1]
    for array in (plain, named):
        array.flags.writeable = False
    for given in (plain, scales[::2], backwards, plain.tolist(), plain.astype(">f8"), plain.astype(np.longdouble)):
        assert (draw(case, 20, given) == expected).all()
    for given in (named, cells[::2, ::2], np.asfortranarray(named)):
        assert (draw(case, 20, scales[::2], cells=given) == by_name).all()
    assert (draw(case, 3, np.array([1, 2, 3], np.int8)) == draw(case, 3, np.array([1, 2, 3], np.float32))).all()


@each_grid_sampler
def test_values_of_any_layout(case):
    values = np.linspace(-9, 9, 40)
    plain = values[::2].copy()
    expected = draw(case, 20, values=plain)
    plain.flags.writeable = False
    for given in (plain, values[::2], plain[::-1].copy()[::-1], plain.tolist(), plain.astype(">f8")):
        assert (draw(case, 20, values=given) == expected).all()
    for wrong in (np.ones(4), np.ones((3, 1)), np.ones(3, bool), ["a"] * 3, np.array([1, None, 2], object)):
        with pytest.raises(MechanismError, match="values must be a vector of 3 numbers"):
            draw(case, values=wrong)
