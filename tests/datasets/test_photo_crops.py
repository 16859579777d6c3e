"""The photo crops: cut alike on every machine, and from different photographs for each part."""

import numpy as np
import pytest

from tests.conftest import needs
from workbench.datasets import photo_crops
from workbench.datasets.photo_crops import CALIBRATION, EVALUATION, SMALLEST, crops


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8)


def test_crops_are_square_views_of_the_photograph(photo):
    for crop in crops(photo, 40):
        height, width, channels = crop.shape
        assert height == width
        assert SMALLEST <= height <= 200
        assert channels == 3
        assert np.shares_memory(crop, photo)


def test_crops_follow_from_the_pixels_and_the_number_alone(photo):
    first, longer = crops(photo, 5), crops(photo.copy(), 9)
    assert all(np.array_equal(a, b) for a, b in zip(first, longer, strict=False))
    changed = photo.copy()
    changed[0, 0, 0] ^= 1
    assert [c.shape for c in crops(changed, 5)] != [c.shape for c in first]


def test_the_largest_crop_may_fill_the_smallest_photograph():
    photo = np.zeros((SMALLEST, SMALLEST, 3), np.uint8)
    assert [crop.shape for crop in crops(photo, 2)] == [photo.shape] * 2


@needs("scikit-image")
def test_the_parts_come_from_different_photographs_and_are_always_the_same():
    data = photo_crops.load()
    assert len(data.evaluation) == 512
    assert len(data.calibration) == 192
    assert not EVALUATION.keys() & CALIBRATION.keys()
    assert data.evaluation.labels is None
    assert len(set(data.evaluation.hashes)) == 512
    assert data.digest == DIGEST


DIGEST = "b3668a9729cb84c777f16dd228042247caab7991495223201b038588bb4ccade"
"""Pixels are decoded from PNG, without loss: no version of Pillow should change it."""
