"""Properties of rounding and packing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from workbench.steps._rounding import (
    feedback_of,
    pack_nibbles,
    round_weight,
    unpack_nibbles,
)
from workbench.steps._weight_only import fit_block, pack_blocks

MATRICES = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 40), st.integers(1, 9)),
    elements=st.floats(-1e3, 1e3, width=32),
)
NIBBLES = arrays.arrays(
    np.int8, st.tuples(st.integers(1, 21), st.integers(1, 7)), elements=st.integers(-8, 7)
)


@given(NIBBLES)
def test_nibbles_survive_packing(values):
    packed = pack_nibbles(values)
    assert packed.nbytes == -(-len(values) // 2) * values.shape[1]
    assert np.array_equal(unpack_nibbles(packed, len(values)), values)


@given(MATRICES, st.sampled_from([127, 96, 63, 7]), st.sampled_from([None, 8, 16]))
def test_nearest_rounding_is_off_by_half_a_step_at_most(weight, top, block):
    rounded = round_weight(weight, top=top, block=block)
    rows = np.repeat(np.abs(rounded.scales), block or len(weight), axis=0)[: len(weight)]
    off = np.abs(rounded.restore() - weight) <= rows * (0.5 + 1e-3) + 1e-30
    # With 4 bits what lies beyond an end is clipped to it.
    clipped = (top == 7) & ((rounded.values == 7) | (rounded.values == -8))
    assert (off | clipped).all()


@given(MATRICES, st.sampled_from([127, 7]))
def test_integers_stay_within_their_bits(weight, top):
    values = round_weight(weight, top=top).values
    assert values.max() <= top
    assert values.min() >= (-8 if top == 7 else -top)


@given(MATRICES)
def test_the_largest_weight_of_a_channel_is_kept_with_8_bits(weight):
    restored = round_weight(weight, top=127).restore()
    at = np.abs(weight).argmax(axis=0)
    columns = np.arange(weight.shape[1])
    np.testing.assert_allclose(
        np.abs(restored[at, columns]), np.abs(weight[at, columns]), rtol=1e-5, atol=1e-30
    )


@given(MATRICES)
def test_4_bit_scales_leave_no_more_error_than_those_that_clip_nothing(weight):
    restored = round_weight(weight, top=7).restore().astype(np.float64)
    high, low = weight.max(axis=0), weight.min(axis=0)
    widest = np.where(high > -low, high, low) / np.float32(-8)
    widest[np.abs(widest) < np.finfo(np.float32).tiny] = 1
    plain = np.clip(np.rint(weight / widest), -8, 7) * widest.astype(np.float64)
    got, bound = (np.square(each - weight).sum() for each in (restored, plain))
    assert got <= bound * (1 + 1e-4) + 1e-30


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_compensated_rounding_never_leaves_a_larger_output_error_by_much(seed):
    random = np.random.default_rng(seed)
    inputs = random.standard_normal((200, 6)) @ random.standard_normal((6, 24))
    inputs = (inputs + 0.1 * random.standard_normal(inputs.shape)).astype(np.float32)
    weight = random.standard_normal((24, 10)).astype(np.float32)
    feedback = feedback_of(inputs.T @ inputs)

    def error(rounded):
        return np.square(inputs @ (rounded.restore() - weight)).mean()

    nearest = error(round_weight(weight, top=7))
    assert error(round_weight(weight, top=7, feedback=feedback)) < nearest


@pytest.mark.parametrize("bits", [8, 4])
def test_kernel_layout_is_outputs_blocks_bytes(bits):
    weight = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    rounded = round_weight(weight, top=127 if bits == 8 else 7, block=16)
    packed = pack_blocks(rounded, 16, bits)
    assert packed.shape == (3, 3, 16 * bits // 8)
    first = int(packed[0, 0, 0]) & (255 if bits == 8 else 15)
    assert first - (1 << (bits - 1)) == rounded.values[0, 0]


@given(st.integers(1, 5000), st.sampled_from([8, 16, 32, 128]))
def test_a_fitted_block_divides_the_inputs(inputs, wanted):
    block = fit_block(inputs, wanted)
    assert block is None or (inputs % block == 0 and 8 <= block <= wanted)


def test_a_channel_of_zeros_stays_zero():
    assert not round_weight(np.zeros((16, 4), np.float32), top=127).restore().any()
