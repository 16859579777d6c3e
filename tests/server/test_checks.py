"""A feed against its signature: what fits, what is cast, and what is refused with its name."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_server.checks import check_feed
from onnx_server.errors import BadRequest
from onnx_server.manifest import Tensor

PIXELS = Tensor("pixels", np.dtype("float32"), ("batch", 1, 2, 2))
IDS = Tensor("ids", np.dtype("int64"), ("batch", "sequence"))
MASK = Tensor("mask", np.dtype("int64"), ("batch", "sequence"))
SMALL = Tensor("small", np.dtype("int8"), ("batch",))
FLAG = Tensor("flag", np.dtype("bool"), ("batch",))


def refusal(feed: dict, *inputs: Tensor) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        check_feed(feed, inputs)
    return caught.value


def test_a_feed_that_fits_is_not_copied_and_its_rows_are_counted():
    given = np.zeros((3, 1, 2, 2), np.float32)
    feed, rows = check_feed({"pixels": given}, (PIXELS,))
    assert feed["pixels"] is given
    assert rows == 3


def test_inputs_come_out_in_the_order_of_the_signature():
    feed, _ = check_feed({"mask": np.ones((1, 2), int), "ids": np.ones((1, 2), int)}, (IDS, MASK))
    assert list(feed) == ["ids", "mask"]


@pytest.mark.parametrize(
    ("tensor", "given"),
    [
        (SMALL, np.array([1.0, -128.0, 127.0])),
        (SMALL, np.array([1, -128, 127])),
        (SMALL, np.array([True, False])),
        (FLAG, np.array([0, 1])),
        (PIXELS, np.ones((1, 1, 2, 2), np.int64)),
        (PIXELS, np.ones((1, 1, 2, 2), ">f4")),
        (PIXELS, np.full((1, 1, 2, 2), np.nan)),
        (PIXELS, np.full((1, 1, 2, 2), np.inf)),
    ],
)
def test_values_that_keep_their_meaning_are_cast(tensor, given):
    made = check_feed({tensor.name: given}, (tensor,))[0][tensor.name]
    assert made.dtype == tensor.dtype
    np.testing.assert_array_equal(made.astype(np.float64), given.astype(np.float64))


@pytest.mark.parametrize(
    ("tensor", "given", "value"),
    [
        (SMALL, np.array([1.0, 1.5]), "1.5 in row 1"),
        (SMALL, np.array([128]), "128 in row 0"),
        (SMALL, np.array([np.nan]), "nan"),
        (SMALL, np.array([np.inf]), "inf"),
        (FLAG, np.array([2]), "2 in row 0"),
        (IDS, np.array([[2.0**63]]), "9.223"),
        (IDS, np.array([[2**64 - 1]], np.uint64), "18446744073709551615"),
        (PIXELS, np.full((1, 1, 2, 2), 1e39), "1e+39"),
    ],
)
def test_values_that_the_dtype_cannot_hold_are_named(tensor, given, value):
    error = refusal({tensor.name: given}, tensor)
    assert error.field == tensor.name
    assert value in error.message
    assert str(tensor.dtype) in error.message


@pytest.mark.parametrize("shape", [(1, 2, 2), (1, 1, 2, 3), (0, 1, 2, 2), (1, 1, 1, 2, 2)])
def test_a_wrong_shape_says_what_is_wanted_and_what_came(shape):
    error = refusal({"pixels": np.zeros(shape, np.float32)}, PIXELS)
    assert error.field == "pixels"
    assert error.message.startswith(
        "Input 'pixels' wants float32[batch, 1, 2, 2], but got float32"
        f"[{', '.join(map(str, shape))}]"
    )


def test_axes_of_one_name_must_agree():
    error = refusal({"ids": np.ones((1, 3), int), "mask": np.ones((1, 4), int)}, IDS, MASK)
    assert error.field == "mask"
    assert "'sequence' is 3" in error.message


def test_an_unknown_input_is_told_the_nearest_name():
    error = refusal({"pixel": np.zeros((1, 1, 2, 2))}, PIXELS)
    assert "Did you mean 'pixels'?" in error.message


def test_a_missing_input_is_named_with_what_it_wants():
    error = refusal({"ids": np.ones((1, 3), int)}, IDS, MASK)
    assert error.field == "mask"
    assert "int64[batch, sequence]" in error.message


def test_texts_and_objects_are_refused_for_numbers():
    for given in (np.array(["1"]), np.array([None]), np.array([1 + 2j])):
        assert refusal({"small": given}, SMALL).field == "small"


def test_what_is_scattered_or_unaligned_is_laid_out_anew():
    scattered = np.arange(12, dtype=np.float32).reshape(2, 2, 3, 1).transpose(2, 3, 0, 1)
    made = check_feed({"pixels": scattered}, (PIXELS,))[0]["pixels"]
    assert made.flags.c_contiguous
    np.testing.assert_array_equal(made, scattered)
    unaligned = np.frombuffer(b"\0" + scattered.tobytes(), np.float32, 12, 1)
    made = check_feed({"pixels": unaligned.reshape(3, 1, 2, 2)}, (PIXELS,))[0]["pixels"]
    assert made.flags.aligned
    np.testing.assert_array_equal(made, scattered)
