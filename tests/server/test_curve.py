from onnx_server.curve import BatchCurve


def _learn(curve: BatchCurve, seconds: dict[int, float]) -> None:
    for rows, took in seconds.items():
        curve.observe(rows, took)


def test_an_unknown_size_is_tried_once_the_half_of_it_is_known():
    curve, sizes = BatchCurve(32), []
    for _ in range(6):
        sizes.append(curve.best(32))
        curve.observe(sizes[-1], 1.0)  # a batch costs what one row costs
    assert sizes == [1, 2, 4, 8, 16, 32]


def test_a_model_that_loses_by_batches_never_runs_a_large_one():
    curve = BatchCurve(32)
    sizes = []
    for _ in range(100):
        sizes.append(curve.best(32))
        curve.observe(sizes[-1], float(sizes[-1] ** 2))
    assert max(sizes) == 2
    assert sizes[2:].count(1) >= 94  # the rest tries again: machines change


def test_never_more_than_the_limit():
    curve = BatchCurve(8)
    _learn(curve, {1: 1.0, 2: 1.1, 4: 1.2, 8: 1.3})
    assert curve.best(100) == 8


def test_where_batching_pays_all_that_wait_run_together():
    curve = BatchCurve(32)
    _learn(curve, {1: 1.0, 2: 1.5, 4: 2.2, 8: 3.5, 16: 6.0})
    assert curve.best(17) == 17


def test_where_batching_loses_rows_run_alone():
    curve = BatchCurve(32)
    _learn(curve, {1: 1.0, 2: 2.4})
    assert curve.best(32) == 1


def test_it_stops_where_doubling_no_longer_pays():
    curve = BatchCurve(32)
    _learn(curve, {1: 1.0, 2: 1.2, 4: 1.6, 8: 3.4})
    assert curve.best(20) == 4


def test_a_rejected_size_is_tried_again_later():
    curve = BatchCurve(4)
    _learn(curve, {1: 1.0, 2: 2.4})
    assert max(curve.best(2) for _ in range(200)) == 2


def test_the_expected_time_is_that_of_the_nearest_seen_size():
    curve = BatchCurve(8)
    curve.observe(4, 2.0)
    assert curve.seconds(5) == 2.5
    assert curve.seconds(1) is None
