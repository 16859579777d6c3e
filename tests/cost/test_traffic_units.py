"""Requests, sizes, latencies and shares with their units."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.cost.traffic import parse_latency, parse_requests, parse_share, parse_size
from workbench.errors import InputError

MONTH_S = 730 * 3600


@pytest.mark.parametrize(
    ("text", "requests"),
    [
        (1_500_000, 1.5e6),
        (2.5e6, 2.5e6),
        ("1500000", 1.5e6),
        ("1_500_000", 1.5e6),
        ("1,500,000", 1.5e6),
        ("1.5M", 1.5e6),
        (" 1.5 M ", 1.5e6),
        ("300k", 3e5),
        ("300K requests", 3e5),
        ("2 million a month", 2e6),
        ("2B", 2e9),
        ("1e6", 1e6),
        ("20/s", 20 * MONTH_S),
        ("20 rps", 20 * MONTH_S),
        ("20 requests per second", 20 * MONTH_S),
        ("3 per minute", 3 * MONTH_S / 60),
        ("3/min", 3 * MONTH_S / 60),
        ("100 an hour", 100 * 730),
        ("2k per day", 2000 * 730 / 24),
        ("7000/week", 7000 * 730 / 168),
        ("0.5/s", 0.5 * MONTH_S),
    ],
)
def test_requests(text, requests):
    assert parse_requests(text) == pytest.approx(requests, rel=1e-12)


def test_a_rate_uses_the_length_of_the_month():
    assert parse_requests("20/s", hours=744) == 20 * 744 * 3600
    assert parse_requests("2M", hours=744) == 2e6


@pytest.mark.parametrize(
    "text",
    [
        "",
        "many",
        "1.5m",
        "20/m",
        "20 per",
        "20 s",
        "20rpm",
        "1,5",
        "1,500",
        "1.500.000",
        "1 500",
        "5 MB",
        "0x10",
        "/s",
        "nan",
        "inf",
        "1.5MM",
        "20/S",
        "٣",
        None,
        True,
        [1],
        math.nan,
    ],
)
def test_what_could_mean_two_things_is_refused_with_an_example(text):
    with pytest.raises(InputError, match=r"cannot be read.*1\.5M"):
        parse_requests(text)


@pytest.mark.parametrize("text", [0, -1, "0", "-5", "0/s", "-2M", -0.0, "1e-400"])
def test_no_traffic_is_refused(text):
    with pytest.raises(InputError, match="more than 0"):
        parse_requests(text)


@pytest.mark.parametrize("text", [1e13, "2000B", "1e6/s", "1e999"])
def test_absurd_traffic_is_refused(text):
    with pytest.raises(InputError, match="1e12"):
        parse_requests(text)


def test_a_number_of_thousands_of_digits_is_absurd():
    for parse in (parse_requests, parse_size, parse_latency, parse_share):
        with pytest.raises(InputError):
            parse(10**5000)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (512, 512),
        ("512", 512),
        ("512 B", 512),
        ("25 MB", 25_000_000),
        ("25MiB", 25 << 20),
        ("4 KiB", 4096),
        ("4 kB", 4000),
        ("4KB", 4000),
        ("1.5 KiB", 1536),
        (0, 0),
    ],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["25 M", "25 Mb", "25 mb", "4k", "4 kib", "big", None, False, ""])
def test_sizes_that_may_be_bits_are_refused(text):
    with pytest.raises(InputError, match=r"cannot be read.*25 MB"):
        parse_size(text)


@pytest.mark.parametrize("text", ["-1", -1, "2000 GB", 1e30])
def test_impossible_sizes_are_refused(text):
    with pytest.raises(InputError, match=r"below 0|above"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        (150, 150),
        ("150", 150),
        ("150 ms", 150),
        ("2 s", 2000),
        ("1.5s", 1500),
        ("1 min", 60_000),
        ("500 us", 0.5),
    ],
)
def test_latencies(text, ms):
    assert parse_latency(text) == pytest.approx(ms)


@pytest.mark.parametrize("text", ["1 m", "fast", "2 h", "0", -3, "2 days", None, 1e9])
def test_wrong_latencies_are_refused(text):
    with pytest.raises(InputError, match="150 ms"):
        parse_latency(text)


def test_shares():
    assert parse_share(0.25) == 0.25
    assert parse_share("5 %") == 0.05
    assert parse_share("100%") == 1
    for wrong in (5, -0.1, "101 %", "some", True):
        with pytest.raises(InputError, match=r"0\.05 or 5 %"):
            parse_share(wrong)


@given(st.one_of(st.text(), st.floats(), st.integers(), st.booleans(), st.none()))
def test_parsing_raises_nothing_but_input_errors(value):
    for parse in (parse_requests, parse_size, parse_latency, parse_share):
        try:
            assert math.isfinite(parse(value))
        except InputError as error:
            assert len(str(error)) < 300


@given(
    st.from_regex(
        r"[0-9.,]{1,6} ?[kKmMGBi%]{0,3} ?(/|per|a)? ?(s|ms|min|m|day|month)?", fullmatch=True
    )
)
def test_parsing_near_the_grammar(text):
    for parse in (parse_requests, parse_size, parse_latency, parse_share):
        with contextlib.suppress(InputError):
            assert parse(text) >= 0


@given(st.floats(1, 1e5), st.sampled_from(["s", "minute", "hour", "day", "week"]))
def test_a_rate_is_proportional(number, unit):
    one = parse_requests(f"1/{unit}")
    assert parse_requests(f"{number!r} per {unit}") == pytest.approx(number * one)
