"""The traffic file and the shapes of traffic."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workbench.cost.traffic import Bursts, Traffic, read_traffic
from workbench.errors import InputError, RecipeError

HOURS = 730


def write(folder, text, name="traffic.yaml"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def shaped(shape, requests=1e6, **fields):
    return Traffic(requests=requests, shape=shape, **fields)


def by_hour(traffic, hours=HOURS):
    return traffic.per_minute(hours).reshape(-1, 60).sum(axis=1)


FULL = """\
requests: 2M
shape:
  bursts:
    count: 8
    minutes: 15
    height: 10
    base: {office-hours: {hours: 8:30-18:00, days: mon-sat, outside: 5 %}}
payload_in: 25 MB
payload_out: 4 KiB
p99: 150 ms
cold_start_share: 1 %
batchable: 0.2
availability: redundant
seed: 7
"""


def test_a_full_file_is_read(tmp_path):
    traffic = read_traffic(write(tmp_path, FULL))
    assert traffic.requests == 2e6
    assert (traffic.payload_in_bytes, traffic.payload_out_bytes) == (25_000_000, 4096)
    assert (traffic.p99_ms, traffic.cold_start_share, traffic.batchable) == (150, 0.01, 0.2)
    assert (traffic.availability, traffic.seed) == ("redundant", 7)
    assert isinstance(traffic.shape, Bursts)
    assert traffic.shape.base.hours == (8.5, 18)
    assert traffic.shape.base.days == ("mon", "tue", "wed", "thu", "fri", "sat")


def test_keys_with_the_unit_in_the_name_do_as_well(tmp_path):
    text = "requests: 20/s\npayload_in_bytes: 512\npayload_out_bytes: 7\np99_ms: 20\n"
    traffic = read_traffic(write(tmp_path, text), hours=720)
    assert traffic.requests == 20 * 720 * 3600
    assert (traffic.payload_in_bytes, traffic.payload_out_bytes, traffic.p99_ms) == (512, 7, 20)


def test_overrides_come_before_validation(tmp_path):
    path = write(tmp_path, "requests: lots\nshape: {daily: {peak_hour: 9}}\n")
    traffic = read_traffic(path, ("requests=3 per minute", "shape.daily.peak_to_mean=3", "seed=4"))
    assert traffic.requests == 3 * HOURS * 60
    assert (traffic.shape.peak_hour, traffic.shape.peak_to_mean, traffic.seed) == (9, 3, 4)
    for wrong in ("requests", "=3", "requests.a=1", "shape=[", "sed=3"):
        with pytest.raises(InputError):
            read_traffic(path, ("requests=1", wrong))


@pytest.mark.parametrize(
    ("text", "line", "key", "says"),
    [
        ("seed: 1\n", None, None, "'requests' is missing"),
        ("requests: 2M\nshap: daily\n", 2, "shap", "Did you mean 'shape'"),
        ("reqests: 2M\n", 1, "reqests", "Did you mean 'requests'"),
        ("requests: 2M\nzzz: 1\n", 2, "zzz", "There is: requests, shape, log"),
        ("requests: 2m\n", 1, "requests", "1.5M"),
        ("requests: 0\n", 1, "requests", "more than 0"),
        ("requests: -3\n", 1, "requests", "more than 0"),
        ("requests: 1e13\n", 1, "requests", "1e12"),
        ("requests: 2M\npayload_in: 25 Mb\n", 2, "payload_in", "25 MB"),
        ("requests: 2M\np99: fast\n", 2, "p99", "150 ms"),
        ("requests: 2M\np99_ms: fast\n", 2, "p99_ms", "150 ms"),
        ("requests: 2M\nbatchable: 5\n", 2, "batchable", "outside 0 to 1"),
        ("requests: 2M\navailability: high\n", 2, "availability", "'single' or 'redundant'"),
        ("requests: 2M\nseed: -1\n", 2, "seed", "greater than or equal to 0"),
        ("requests: 2M\npayload_in: 1\npayload_in_bytes: 2\n", 2, "payload_in", "the same"),
        ("requests: 2M\nshape: dayly\n", 2, "shape", "did you mean 'daily'"),
        ("requests: 2M\nshape: xyz\n", 2, "shape", "constant, office-hours, daily, weekly"),
        ("requests: 2M\nshape: 7\n", 2, "shape", "write one shape"),
        ("requests: 2M\nshape: {log: a.csv}\n", 2, "shape", "a key of its own"),
        ("requests: 2M\nshape:\n  daily:\n    peak: 3\n", 4, "shape.daily.peak", "'peak_hour'"),
        ("requests: 2M\nshape: {daily: [1, 2]}\n", 2, "shape.daily.weights", "at least 24"),
        ("requests: 2M\nshape: weekly\n", 2, "shape.weekly.weights", "missing"),
        (
            "requests: 2M\nshape:\n  weekly:\n    weights: [1]\n    daily:\n      peek_hour: 3\n",
            6,
            "shape.weekly.daily.peek_hour",
            "'peak_hour'",
        ),
        (
            "requests: 1\nshape: {office-hours: {outside: 1.5}}\n",
            2,
            "shape.office-hours.outside",
            "outside 0 to 1",
        ),
        (
            "requests: 1\nshape: {office-hours: {hours: 17-9}}\n",
            2,
            "shape.office-hours.hours",
            "9-17",
        ),
        ("requests: 2M\nlog: nowhere.csv\n", 2, "log", "there is no file"),
        ("requests: 2M\nlog: 3\n", 2, "log", "no file is named"),
        ("requests: 2M\nlog: a.csv\nshape: daily\n", 2, "log", "not both"),
        ("- 1\n", 1, None, "a mapping"),
        ("", 1, None, "a mapping"),
    ],
)
def test_a_fault_is_told_with_its_line_and_key(tmp_path, text, line, key, says):
    path = write(tmp_path, text)
    with pytest.raises(RecipeError) as caught:
        read_traffic(path)
    assert says in str(caught.value)
    assert (caught.value.line, caught.value.key) == (line, key)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        read_traffic(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "shape",
    [
        {"office-hours": {"hours": "0-24", "days": "mon-sun"}},
        {"office-hours": {"hours": "9am-5pm"}},
        {"office-hours": {"hours": [9, True]}},
        {"office-hours": {"days": "mo"}},
        {"office-hours": {"days": []}},
        {"daily": {"weights": [0] * 24}},
        {"daily": {"weights": [-1] + [1] * 23}},
        {"daily": {"weights": [1] * 24, "peak_hour": 3}},
        {"daily": {"peak_hour": 24}},
        {"daily": {"peak_to_mean": 0.5}},
        {"daily": 7},
        {"weekly": {"weights": [0] * 7}},
        {"weekly": [float("inf")] * 7},
        {"bursts": {"count": 10_000, "minutes": 60, "height": 2}},
        {"bursts": {"count": 2, "minutes": 60, "height": -2}},
        {"bursts": {"count": 1, "minutes": 1, "height": 1, "base": {"bursts": {}}}},
        {"growth": {"percent": -100}},
        {"daily": {}, "weekly": {}},
    ],
)
def test_impossible_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="validation error"):
        shaped(shape)


# --- what the shapes are -----------------------------------------------------------------------


def test_constant_is_the_default_and_is_even():
    assert np.ptp(Traffic(requests=1e6).per_minute(HOURS)) == 0
    assert shaped("constant") == Traffic(requests=1e6)


def test_office_hours_keep_the_stated_share_outside():
    traffic = shaped({"office-hours": {"hours": "9-17", "days": "mon-fri", "outside": 0.1}})
    hour = np.arange(HOURS)
    inside = (hour // 24 % 7 < 5) & (hour % 24 >= 9) & (hour % 24 < 17)
    hourly = by_hour(traffic)
    assert hourly[inside].sum() == pytest.approx(0.9e6)
    assert hourly[~inside].sum() == pytest.approx(0.1e6)
    assert np.ptp(hourly[inside]) == pytest.approx(0, abs=1e-6)


def test_office_hours_to_the_minute():
    traffic = shaped({"office-hours": {"hours": "8:20-8:50", "days": ["Sunday"], "outside": 0}})
    busy = np.flatnonzero(traffic.per_minute(168))
    assert busy[0] == 6 * 1440 + 500
    assert busy[-1] == 6 * 1440 + 529


def test_daily_weights_come_back():
    weights = np.arange(24) ** 2
    for shape in ({"daily": weights.tolist()}, {"daily": {"weights": weights.tolist()}}):
        hourly = by_hour(shaped(shape), 24 * 31)
        assert hourly.reshape(31, 24).sum(axis=0) / 1e6 == pytest.approx(weights / weights.sum())


@given(st.floats(0, 23.9), st.floats(1, 24))
def test_the_smooth_curve_has_the_stated_peak(hour, ratio):
    day = shaped({"daily": {"peak_hour": hour, "peak_to_mean": ratio}}).per_minute(24)
    assert day.max() / day.mean() == pytest.approx(ratio, rel=1e-6)
    if ratio > 1.01:
        away = abs((np.argmax(day) + 0.5) / 60 - hour)
        assert min(away, 24 - away) <= 1 / 60


def test_weekly_weights_are_those_of_the_days():
    weights = [5, 4, 3, 2, 1, 0, 6]
    traffic = shaped({"weekly": {"weights": weights, "daily": {"peak_hour": 20}}}, requests=21)
    week = traffic.per_minute(168).reshape(7, 1440)
    assert week.sum(axis=1) == pytest.approx(weights)
    assert week[0].argmax() in (1199, 1200)
    assert shaped({"weekly": weights}).shape.weights == (5, 4, 3, 2, 1, 0, 6)


def test_bursts_add_to_the_base_and_never_overlap():
    shape = {"bursts": {"count": 12, "minutes": 15, "height": 9}}
    minutes = shaped(shape, seed=3).per_minute(HOURS)
    base = minutes.min()
    assert sorted({round(value / base, 6) for value in minutes}) == [1, 10]
    assert (minutes > base * 2).sum() == 12 * 15
    assert not np.array_equal(minutes, shaped(shape, seed=4).per_minute(HOURS))


def test_growth_compounds_within_the_month():
    minutes = shaped({"growth": {"percent": 20}}).per_minute(HOURS)
    assert minutes[-1] / minutes[0] == pytest.approx(1.2, rel=1e-4)
    assert (np.diff(minutes) > 0).all()
    grown = shaped({"growth": {"percent": 50, "base": "office-hours"}})
    ratio = grown.per_minute(168 * 4) / shaped("office-hours").per_minute(168 * 4)
    assert ratio[-1] / ratio[0] == pytest.approx(1.5, rel=1e-4)


def test_describe():
    shape = {"office-hours": {"outside": 0}}
    assert shaped(shape, 2e6).describe(168) == (
        "2,000,000 requests a month, office hours, peak 14/s, mean 3.3/s"
    )
    assert shaped("constant", 5000).describe() == (
        "5,000 requests a month, constant, peak 0.11/min, mean 0.11/min"
    )
    assert shaped("constant", 1e9).describe().endswith("peak 381/s, mean 381/s")
    assert shaped("constant", 3.5).describe().startswith("3.5 requests a month")


# --- what holds of all shapes ------------------------------------------------------------------

weights = st.floats(0, 1e9, allow_subnormal=False)
dailies = st.one_of(
    st.builds(
        lambda hour, ratio: {"peak_hour": hour, "peak_to_mean": ratio},
        st.floats(0, 23.99),
        st.floats(1, 24),
    ),
    st.lists(weights, min_size=24, max_size=24).filter(any).map(lambda w: {"weights": w}),
)
plain = st.one_of(
    st.sampled_from(["constant", "office-hours", "daily"]),
    st.builds(
        lambda start, length, days, outside: {
            "office-hours": {
                "hours": [start, start + length],
                "days": sorted(days),
                "outside": outside,
            }
        },
        st.floats(0, 12),
        st.floats(0.01, 11.9),
        st.sets(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), min_size=1),
        st.floats(0, 1),
    ),
    dailies.map(lambda daily: {"daily": daily}),
    st.builds(
        lambda days, daily: {"weekly": {"weights": days, "daily": daily}},
        st.lists(weights, min_size=7, max_size=7).filter(any),
        dailies,
    ),
)
growing = st.builds(
    lambda percent, base: {"growth": {"percent": percent, "base": base}},
    st.floats(-99, 10_000),
    plain,
)
shapes = st.one_of(
    plain,
    growing,
    st.builds(
        lambda count, minutes, height, base: {
            "bursts": {"count": count, "minutes": minutes, "height": height, "base": base}
        },
        st.integers(1, 15),
        st.integers(1, 1440),
        st.floats(0.01, 1e5),
        plain | growing,
    ),
)
volumes = st.floats(1e-3, 1e12)
months = st.sampled_from([1, 24, 672, 720, 730, 744])


@settings(deadline=None)
@given(shapes, volumes, months, st.integers(0, 2**70))
def test_every_shape_sums_to_the_requests_and_is_the_same_again(shape, requests, hours, seed):
    traffic = shaped(shape, requests, seed=seed)
    minutes = traffic.per_minute(hours)
    assert minutes.shape == (hours * 60,)
    assert minutes.dtype == np.float64
    assert minutes.sum() == pytest.approx(requests, rel=1e-9)
    assert (minutes >= 0).all()
    again = Traffic.model_validate(json.loads(traffic.model_dump_json()))
    assert again == traffic
    assert np.array_equal(again.per_minute(hours), minutes)


@settings(deadline=None)
@given(shapes, volumes, volumes)
def test_scaling_keeps_the_shape(shape, requests, other):
    traffic = shaped(shape, requests)
    scaled = traffic.scaled(other)
    assert scaled.requests == other
    expected = traffic.per_minute(HOURS) * (other / requests)
    assert np.allclose(scaled.per_minute(HOURS), expected, rtol=1e-9, atol=1e-12 * other)
    assert scaled.scaled(requests) == traffic


@pytest.mark.parametrize("requests", [0, -1, 1e13, float("nan"), float("inf")])
def test_scaling_to_nothing_or_the_absurd_is_refused(requests):
    with pytest.raises(InputError):
        Traffic(requests=1).scaled(requests)


@settings(deadline=None, max_examples=300)
@given(st.text() | st.binary())
@example("requests: &a [*a]")
@example("requests: 0x_")
@example("? [a]\n: 1")
@example("1: 2")
@example("null: 2")
@example("requests: 2001-01-01")
@example("requests: !!python/object:os.system x")
@example("requests: !!int x")
@example("shape: {? {a: 1} : 2}\nrequests: 1")
@example('requests: 1\nlog: "\\0"')
@example("requests: 1\nlog: {file: traffic.yaml, 3: 4}")
@example("requests: 1\nlog: {file: traffic.yaml, start: 2020-01-01 10:00:00}")
@example("requests: 1\nlog: {file: traffic.yaml, timezone: ../x}")
@example("requests: " + "[" * 1000)
@example("requests: " + "9" * 5000)
def test_reading_raises_nothing_but_input_errors(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "traffic.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "replace"))
    with pytest.raises(InputError):
        read_traffic(path)


keys = st.sampled_from(
    [
        "requests",
        "shape",
        "log",
        "payload_in",
        "p99",
        "batchable",
        "seed",
        "availability",
        "file",
        "daily",
        "weekly",
        "bursts",
        "growth",
        "office-hours",
        "weights",
        "base",
        "kind",
        "days",
    ]
)
values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), keys, st.sampled_from(["2M", "9-17"])
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(keys, values, max_size=5))
def test_reading_any_mapping_raises_nothing_but_input_errors(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "mapping.yaml"
    path.write_text(json.dumps(data), encoding="utf-8")
    with contextlib.suppress(InputError):
        assert read_traffic(path).per_minute(HOURS).sum() > 0


# --- arrivals ----------------------------------------------------------------------------------


def test_arrivals_follow_the_minutes():
    traffic = shaped({"daily": {"peak_hour": 14, "peak_to_mean": 3}}, 200_000)
    hours = list(traffic.arrivals(HOURS, seed=1))
    assert len(hours) == HOURS
    for hour, times in enumerate(hours):
        assert (np.diff(times) >= 0).all()
        assert not len(times) or hour * 3600 <= times[0] <= times[-1] <= (hour + 1) * 3600
    times = np.concatenate(hours)
    assert len(times) == pytest.approx(200_000, abs=5 * 200_000**0.5)
    counted = np.bincount((times // 60).astype(int), minlength=HOURS * 60)
    expected = traffic.per_minute(HOURS)
    assert ((counted - expected) ** 2 / expected).mean() == pytest.approx(1, abs=0.05)


def test_arrivals_are_the_same_again_and_other_with_another_seed():
    traffic = shaped("office-hours", 10_000, seed=5)
    first, again = (np.concatenate(list(traffic.arrivals(168))) for _ in range(2))
    assert np.array_equal(first, again)
    assert np.array_equal(first, np.concatenate(list(traffic.arrivals(168, seed=5))))
    assert not np.array_equal(first, np.concatenate(list(traffic.arrivals(168, seed=6))))


def test_arrivals_of_a_large_month_come_an_hour_at_a_time():
    first = next(shaped("constant", 260e6).arrivals(HOURS, seed=0))
    assert len(first) == pytest.approx(260e6 / HOURS, rel=0.02)
