"""The profile section: what it accepts, and which cells it makes."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from workbench.profile_options import ProfileOptions, axis_sizes
from workbench.records import Signature, TensorSpec


def signature(*shape: int | str) -> Signature:
    return Signature(inputs=(TensorSpec(name="x", dtype="int64", shape=shape),))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"batch": [0]}, "1 and more"),
        ({"batch": []}, "at least one"),
        ({"threads": [2, 2]}, "twice"),
        ({"devices": ["cpu", "cpu"]}, "twice"),
        ({"devices": ["tpu"]}, "'cpu' or 'cuda'"),
        ({"seconds": 0}, "greater than 0"),
        ({"min_rounds": 1}, "greater than or equal to 2"),
        ({"bach": [1]}, "Extra inputs"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        ProfileOptions.model_validate(options)


def test_values_are_sorted() -> None:
    assert ProfileOptions.model_validate({"batch": [8, 1]}).batch == (1, 8)


def test_the_grid_has_every_combination() -> None:
    options = ProfileOptions(batch=(1, 8), sequence=(16, 128), threads=(1, 2))
    grid = options.grid(signature("batch", "sequence"))
    assert len(grid) == len(set(grid)) == 8


def test_sequence_lengths_are_ignored_where_there_is_no_such_axis() -> None:
    grid = ProfileOptions().grid(signature("batch", 784))
    assert [(s.batch, s.sequence) for s in grid] == [(1, None), (8, None)]


def test_a_fixed_batch_is_the_only_one_measured() -> None:
    grid = ProfileOptions().grid(signature(4, 784))
    assert [s.batch for s in grid] == [4]


def test_axes_are_known_by_their_place_and_their_name() -> None:
    assert axis_sizes(signature("unk__1", "max_seq_len"), 3, 7) == {"unk__1": 3, "max_seq_len": 7}


def test_other_axes_take_their_sizes_from_the_options() -> None:
    options = ProfileOptions(axes={"height": 32})
    found = signature("batch", 3, "height")
    assert options.sizes(found, options.grid(found)[0]) == {"batch": 1, "height": 32}
