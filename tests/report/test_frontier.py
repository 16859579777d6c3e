"""The frontier and the thinning of samples."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report.recorded import recorded, with_variants, without
from workbench.report.html.frontier import cells, frontier, quality_scale
from workbench.report.html.speed import MOST_SAMPLES, thinned


def test_a_point_is_beaten_by_one_that_is_no_worse_in_anything():
    run = with_variants(recorded(), 20)
    for setting in cells(run):
        points = {p.variant: p for p in frontier(run, setting)}
        assert len(points) == 20
        assert any(not p.beaten_by for p in points.values())
        for point in points.values():
            if point.beaten_by:
                other = points[point.beaten_by]
                assert other.ms.value <= point.ms.value
                assert other.quality.value >= point.quality.value
                assert other.size_bytes <= point.size_bytes


def test_quality_is_the_paired_difference_else_the_score_else_closeness():
    run = recorded()
    assert quality_scale(run).kind == "difference"
    bare = without(run, "quality")
    assert quality_scale(bare) is None
    assert all(p.quality is None for p in frontier(bare, cells(bare)[0]))

    def stripped(**gone):
        return run.model_copy(
            update={
                "variants": tuple(
                    v.model_copy(
                        update={
                            "measurement": v.measurement.model_copy(
                                update={"quality": v.measurement.quality.model_copy(update=gone)}
                            )
                        }
                    )
                    for v in run.variants
                )
            }
        )

    assert quality_scale(stripped(difference=None)).kind == "score"
    assert quality_scale(stripped(difference=None, score=None)).kind == "cosine_mean"


@settings(max_examples=40)
@given(st.lists(st.floats(0.001, 1e4), min_size=1, max_size=500))
def test_thinning_keeps_the_ends_the_order_and_real_samples(samples):
    found = thinned(samples)
    assert found == sorted(found)
    assert (found[0], found[-1]) == (min(samples), max(samples))
    assert len(found) == min(len(samples), MOST_SAMPLES)
    assert set(found) <= set(samples)
