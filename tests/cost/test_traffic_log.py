"""Logs of real traffic: what is read, how a month is filled, and what is refused."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from zoneinfo import available_timezones

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workbench.cost.traffic import read_traffic
from workbench.errors import InputError

HOURS = 730
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)

needs_zones = pytest.mark.skipif(
    not available_timezones(), reason="this machine has no time zone database"
)


def log(folder, lines, text="log: log.csv\n", overrides=()):
    (folder / "log.csv").write_text("\n".join(map(str, lines)) + "\n", encoding="utf-8")
    (folder / "traffic.yaml").write_text(text, encoding="utf-8")
    return read_traffic(folder / "traffic.yaml", overrides)


def hourly(start, counts, step=timedelta(hours=1)):
    rows = [f"{(start + step * index).isoformat()},{count}" for index, count in enumerate(counts)]
    return ["time,count", *rows]


def repeated(counts, hours=HOURS):
    return np.tile(counts, -(-hours // len(counts)))[:hours]


def first_day(traffic):
    return np.concatenate(list(islice(traffic.arrivals(HOURS, seed=3), 24)))


def by_hour(traffic, hours=HOURS):
    return traffic.per_minute(hours).reshape(-1, 60).sum(axis=1)


# --- how a month is filled ---------------------------------------------------------------------


def test_a_week_of_counts_comes_back_week_after_week(tmp_path):
    week = np.random.default_rng(0).integers(0, 1000, 168)
    traffic = log(tmp_path, hourly(MONDAY, week))
    assert traffic.requests == pytest.approx(repeated(week).sum())
    assert by_hour(traffic) == pytest.approx(repeated(week), abs=1e-6)
    assert traffic.describe().startswith(f"{traffic.requests:,.0f} requests a month, log of 7 days")


def test_a_weekday_stays_on_its_weekday_whenever_the_log_starts(tmp_path):
    week = np.random.default_rng(0).integers(0, 1000, 168)
    shifted = np.roll(week, -59)
    traffic = log(tmp_path, hourly(MONDAY + timedelta(hours=59), shifted))
    assert by_hour(traffic) == pytest.approx(repeated(week), abs=1e-6)


def test_of_a_long_log_the_last_weeks_are_taken(tmp_path):
    counts = np.random.default_rng(0).integers(0, 1000, 168 * 9)
    traffic = log(tmp_path, hourly(MONDAY, counts))
    assert by_hour(traffic) == pytest.approx(counts[168 * 4 :][:HOURS], abs=1e-6)


def test_days_are_repeated_if_there_is_no_week(tmp_path):
    days = np.random.default_rng(0).integers(0, 1000, 48)
    traffic = log(tmp_path, hourly(MONDAY + timedelta(days=2), days))
    assert sorted(by_hour(traffic)[:48]) == pytest.approx(sorted(days), abs=1e-6)
    assert by_hour(traffic)[:24].tolist() == pytest.approx(days[:24].tolist(), abs=1e-6)
    assert "last 2 days repeated" in traffic.describe()


def test_hours_are_repeated_if_there_is_no_day(tmp_path):
    counts = np.arange(90) + 1
    traffic = log(tmp_path, hourly(MONDAY, counts, timedelta(minutes=1)))
    assert traffic.per_minute(HOURS) == pytest.approx(repeated(counts, HOURS * 60), abs=1e-6)


def test_requests_scale_the_log(tmp_path):
    week = np.arange(168)
    traffic = log(tmp_path, hourly(MONDAY, week), "requests: 3M\nlog: log.csv\n")
    assert traffic.requests == 3e6
    expected = repeated(week) * (3e6 / repeated(week).sum())
    assert by_hour(traffic) == pytest.approx(expected, abs=1e-6)


def test_gaps_among_counts_are_time_without_requests(tmp_path):
    rows = hourly(MONDAY, [6] * 168)
    del rows[10:14]
    assert by_hour(log(tmp_path, rows))[8:14].tolist() == pytest.approx([6, 0, 0, 0, 0, 6])


@needs_zones
def test_daily_counts_over_a_change_of_the_clock_have_no_gap(tmp_path):
    rows = ["date,requests", *(f"2026-10-{day},24" for day in range(19, 27)), "2026-10-27,24"]
    traffic = log(tmp_path, rows, "log: {file: log.csv, timezone: Europe/Berlin}\n")
    assert (traffic.per_minute(HOURS) > 0).all()


def test_a_log_may_say_what_it_covers(tmp_path):
    """Timestamps of office days alone do not say that the weekend was covered."""
    rows = [MONDAY + timedelta(days=day, hours=9, minutes=i) for day in range(5) for i in range(60)]
    lines = [row.isoformat() for row in rows]
    assert "last 4 days" in log(tmp_path, lines).describe()
    text = "log: {file: log.csv, start: 2026-01-05, end: '2026-01-12T00:00:00Z'}\n"
    traffic = log(tmp_path, lines, text)
    busy = np.flatnonzero(by_hour(traffic)[:168])
    assert busy.tolist() == [9, 33, 57, 81, 105]
    assert "last 1 week" in traffic.describe()


def test_minutes_missing_at_the_ends_of_a_week_do_not_make_it_six_days(tmp_path):
    start, end = MONDAY + timedelta(minutes=7), MONDAY + timedelta(days=6, hours=23, minutes=51)
    times = [start, *(MONDAY + timedelta(hours=h) for h in range(1, 167)), end]
    traffic = log(tmp_path, [at.isoformat() for at in times])
    assert "last 1 week" in traffic.describe()
    assert by_hour(traffic)[:168] == pytest.approx(np.ones(168))


# --- timestamps --------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [(), ("when",), ("",), ("\ufeffwhen",)])
@pytest.mark.parametrize(
    "write",
    [
        lambda at: at.isoformat(),
        lambda at: at.isoformat().replace("+00:00", "Z"),
        lambda at: at.replace(tzinfo=None).isoformat(" "),
        lambda at: at.astimezone(timezone(timedelta(hours=-5))).isoformat(),
        lambda at: int(at.timestamp()),
        lambda at: at.timestamp(),
        lambda at: int(at.timestamp() * 1000),
    ],
)
def test_timestamps_are_read_however_they_are_written(tmp_path, write, header):
    times = [MONDAY + timedelta(minutes=30 * index, seconds=5) for index in range(336)]
    traffic = log(tmp_path, [*header, *map(write, times)])
    assert by_hour(traffic)[:168] == pytest.approx(np.full(168, 2))


def test_rows_may_be_in_any_order_and_have_other_columns(tmp_path):
    times = [MONDAY + timedelta(hours=index) for index in range(168)]
    rows = [f"200;{at.isoformat()};0.1" for at in reversed(times)]
    traffic = log(tmp_path, ["status;Timestamp;seconds", "", *rows])
    assert by_hour(traffic)[:168] == pytest.approx(np.ones(168))


@needs_zones
def test_the_month_starts_on_the_zones_monday(tmp_path):
    times = [MONDAY + timedelta(hours=index) for index in range(168)] + [MONDAY]
    text = "log: {file: log.csv, timezone: America/New_York}\n"
    traffic = log(tmp_path, [at.isoformat() for at in times], text)
    assert by_hour(traffic)[:168].argmax() == 168 - 5
    naive = log(tmp_path, [at.replace(tzinfo=None).isoformat() for at in times], text)
    assert by_hour(naive)[:168].argmax() == 0
    offset = log(
        tmp_path, [at.isoformat() for at in times], "log: {file: log.csv, timezone: +03:00}"
    )
    assert by_hour(offset)[:168].argmax() == 3


@needs_zones
def test_summer_time_makes_no_hour_double(tmp_path):
    start = datetime(2026, 10, 19, tzinfo=UTC)
    times = [start + timedelta(minutes=10 * index) for index in range(6 * 168)]
    text = "log: {file: log.csv, timezone: Europe/Berlin}\n"
    traffic = log(tmp_path, [at.isoformat() for at in times], text)
    assert by_hour(traffic)[:168] == pytest.approx(np.full(168, 6))


def test_arrivals_of_timestamps_are_the_times_themselves(tmp_path):
    rng = np.random.default_rng(0)
    seconds = np.sort(rng.random(5000) * 168 * 3600)
    start = MONDAY.timestamp()
    traffic = log(tmp_path, [f"{start + second:.3f}" for second in seconds])
    month = np.concatenate(list(traffic.arrivals(HOURS, seed=3)))
    assert np.allclose(month[:5000], seconds, rtol=0, atol=1e-3)
    assert np.allclose(month[5000:10_000] - 168 * 3600, seconds, rtol=0, atol=1e-3)
    assert len(month) == traffic.requests


def test_whole_seconds_are_spread_over_the_second(tmp_path):
    start = int(MONDAY.timestamp())
    seconds = np.repeat(np.arange(0, 86400, 7), 3)
    traffic = log(tmp_path, [start + second for second in seconds])
    times = first_day(traffic)
    assert np.array_equal(np.floor(times), seconds)
    assert len(np.unique(times)) == len(seconds)
    assert np.array_equal(times, first_day(traffic))


@pytest.mark.parametrize("factor", [0.25, 2.5])
def test_arrivals_of_a_scaled_log_are_thinned_or_multiplied(tmp_path, factor):
    rng = np.random.default_rng(0)
    seconds = np.sort(rng.random(20_000) * 86400)
    traffic = log(tmp_path, [f"{MONDAY.timestamp() + second:.3f}" for second in seconds])
    times = first_day(traffic.scaled(traffic.requests * factor))
    assert len(times) == pytest.approx(20_000 * factor, rel=0.03)
    assert (np.diff(times) >= 0).all()
    own = np.isin(np.round(times, 3), np.round(seconds, 3)).sum()
    assert own >= 20_000 * min(factor, 1) * 0.95


def test_arrivals_of_counts_are_drawn(tmp_path):
    week = np.random.default_rng(0).integers(50, 1000, 168)
    traffic = log(tmp_path, hourly(MONDAY, week))
    counted = np.array([len(times) for times in islice(traffic.arrivals(HOURS, seed=1), 168)])
    assert ((counted - week) ** 2 / week).max() < 20


# --- what is refused ---------------------------------------------------------------------------

GOOD = [(MONDAY + timedelta(minutes=index)).isoformat() for index in range(90)]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "no rows"),
        (["time"], "no rows"),
        (["", "  ", ","], "no rows"),
        (GOOD[:59], "under an hour"),
        (hourly(MONDAY, range(9), timedelta(minutes=1)), "under an hour"),
        ([*GOOD, "yesterday"], "log.csv:91: 'yesterday' is no time"),
        (["2026-13-01T00:00:00", *GOOD], "log.csv:1:"),
        ([*GOOD, "12"], "log.csv:91: '12' are neither"),
        ([*GOOD, "nan"], "log.csv:91:"),
        ([*GOOD, "1767571200"], "log.csv:91: this time is epoch seconds"),
        ([*GOOD, "2026-01-05T03:00:00"], "log.csv:91: this time is ISO 8601 without"),
        ([*GOOD, "0001-01-01T00:00:00Z"], "log.csv:91: the year"),
        ([*GOOD, "2036-01-05T00:00:00Z"], "one of its times must be wrong"),
        ([f"{at},3" for at in GOOD], "log.csv:1: several columns need a header"),
        (["start,stop", *(f"{at},{at}" for at in GOOD)], "no column is named time"),
        (["time,date", *(f"{at},{at}" for at in GOOD)], "several columns could be meant"),
        (["time,count", f"{GOOD[0]},1", GOOD[1]], "log.csv:3: this row has too few columns"),
        (["time,count", f"{GOOD[0]},many"], "log.csv:2: 'many' is no count"),
        (["time,count", f"{GOOD[0]},-1"], "log.csv:2: the count '-1' is below 0"),
        (["time,count", f"{GOOD[0]},nan"], "log.csv:2: the count 'nan'"),
        (["time,count", f"{GOOD[0]},1"], "two or more"),
        (["time,count", *(f"{at},1" for at in (GOOD[0], *GOOD))], "twice"),
        (hourly(MONDAY, [0] * 40), "no requests"),
    ],
)
def test_a_wrong_log_is_told_with_its_line(tmp_path, lines, says):
    with pytest.raises(InputError, match=r"log\.csv") as caught:
        log(tmp_path, lines)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("log: {file: log.csv, timezone: Mars/Base}\n", "no time zone"),
        ("log: {file: log.csv, timezone: Europe}\n", "no time zone"),
        ("log: {file: log.csv, timezone: +25:00}\n", "no time zone"),
        ("log: {file: log.csv, timzone: UTC}\n", "Did you mean 'timezone'"),
        ("log: {file: log.csv, start: soon}\n", "'soon' is no time"),
        ("log: {file: log.csv, start: 2026-02-01, end: 2026-01-01}\n", "not before its end"),
        ("log: {file: log.csv, start: 2027-01-01}\n", "no rows between"),
        ("log: {file: log.csv, start: 2026-01-01 10:00:00}\n", "quotes"),
    ],
)
def test_wrong_options_of_a_log_are_refused(tmp_path, text, says):
    with pytest.raises(InputError) as caught:
        log(tmp_path, GOOD, text)
    assert says in str(caught.value)


def test_a_log_that_goes_away_is_an_input_error(tmp_path):
    traffic = log(tmp_path, GOOD)
    (tmp_path / "log.csv").unlink()
    with pytest.raises(InputError, match="There is no log"):
        traffic.per_minute(HOURS)


def test_a_log_that_changes_is_read_again(tmp_path):
    before = log(tmp_path, GOOD)
    after = log(tmp_path, [*GOOD, GOOD[0]])
    assert after.requests > before.requests


@settings(deadline=None)
@given(st.binary(max_size=400) | st.text('0123456789-:TZ,;.\n" timecount+e', max_size=200))
@example(b"\xff\xfe")
@example("time,count\n" + "9" * 5000)
@example('"')
@example("\x00")
@example("1767571200\n1767581200\n")
def test_reading_a_log_raises_nothing_but_input_errors(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp()
    data = content if isinstance(content, bytes) else content.encode()
    (folder / "log.csv").write_bytes(data)
    (folder / "log.yaml").write_text("log: log.csv\n", encoding="utf-8")
    try:
        traffic = read_traffic(folder / "log.yaml")
        assert traffic.per_minute(HOURS).sum() == pytest.approx(traffic.requests)
    except InputError:
        pass


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 10_000),
    st.lists(st.integers(0, 10**6), min_size=2, max_size=400).filter(lambda c: any(c[-24:])),
    st.sampled_from([1, 5, 15, 60]),
)
def test_counts_come_back(tmp_path_factory, start, counts, step):
    folder = tmp_path_factory.mktemp("log")
    begin = MONDAY + timedelta(minutes=start * step)
    if len(counts) * step < 60:
        return
    traffic = log(folder, hourly(begin, counts, timedelta(minutes=step)))
    minutes = traffic.per_minute(HOURS)
    assert minutes.sum() == pytest.approx(traffic.requests, rel=1e-9)
    assert (minutes >= 0).all()
    length = len(counts) * step
    period = next((length // u * u for u in (10080, 1440) if length >= u), length)
    of_log = np.repeat(np.array(counts) / step, step)[-period:]
    first = (start * step + length - period) % 10080
    expected = of_log[(np.arange(HOURS * 60) - first) % period]
    assert np.allclose(minutes, expected, rtol=1e-9, atol=1e-5)
