"""The log of a run's progress: written, read back, and left behind by a process that was killed."""

import signal
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as some

from workbench.errors import CorruptError, InputError, StepError
from workbench.progress import Progress, Several, Work
from workbench.progress.log import ProgressLog, progress_logs, read_open_log, read_progress
from workbench.progress.pieces import Pieces

PLAN = [Work("export", 4.0), Work("quantize", 6.0)]


def test_a_log_tells_what_is_done_what_goes_on_and_what_is_left(tmp_path):
    with ProgressLog(tmp_path, "a") as log:
        log.plan(PLAN)
        log.start("export")
        log.finish("export", 5.0, reused=False, detail="13 nodes")
        log.start("quantize")
        found = read_progress(log.path)
        assert found.state == "running"
        assert [piece.state for piece in found.pieces] == ["done", "running"]
        assert found.pieces[0].detail == "13 nodes"
        assert (found.left_s, found.part) == (6.0, pytest.approx(5 / 11))
        log.finish("quantize", 1.0, reused=True)
        assert progress_logs(tmp_path) == {"a": log.path}


def test_a_run_that_ended_well_leaves_nothing_but_its_end_to_whoever_follows_it(tmp_path):
    with ProgressLog(tmp_path, "a") as log:
        log.plan(PLAN)
        follower = log.path.open("rb")
    with follower:
        found = read_open_log(follower)
    assert (found.state, found.part, found.left_s) == ("finished", 1.0, 0.0)
    assert list(tmp_path.iterdir()) == []
    assert progress_logs(tmp_path) == {}


def test_an_error_is_told_with_its_mend(tmp_path):
    log = ProgressLog(tmp_path, "a")

    def fail():
        with log:
            log.plan(PLAN)
            log.start("export")
            raise StepError("It cannot be exported.", hint="Give another opset.")

    with pytest.raises(StepError):
        fail()
    found = read_progress(log.path)
    assert (found.state, found.error) == ("failed", "It cannot be exported.")
    assert found.hint == "Give another opset."


@pytest.mark.parametrize(
    ("error", "told"),
    [(KeyboardInterrupt(), "Interrupted."), (InputError("It is no model."), "It is no model.")],
)
def test_what_the_user_stopped_or_must_mend_is_told_and_leaves_nothing(tmp_path, error, told):
    log = ProgressLog(tmp_path / "runs", "a")

    def fail(opened):
        with log:
            opened.append(log.path.open("rb"))
            raise error

    followers = []
    with pytest.raises(type(error)):
        fail(followers)
    with followers[0] as follower:
        assert read_open_log(follower).error == told
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_of_one_name_at_a_time_has_a_log_of_its_own(tmp_path):
    with ProgressLog(tmp_path, "a") as first, ProgressLog(tmp_path, "a") as second:
        assert first.path != second.path
        assert read_progress(first.path).state == read_progress(second.path).state == "running"
    with ProgressLog(tmp_path, "a") as third:
        assert third.path == first.path
        third.plan(PLAN)
        assert len(read_progress(third.path).pieces) == 2


def test_a_process_that_was_killed_left_a_run_that_stopped(tmp_path):
    code = f"""
        import sys, time
        from pathlib import Path
        from workbench.progress import Work
        from workbench.progress.log import ProgressLog
        with ProgressLog(Path({str(tmp_path)!r}), "a") as log:
            log.plan([Work("export", 60.0)])
            log.start("export")
            print("ready", flush=True)
            sys.stdin.read()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    path = progress_logs(tmp_path)["a"]
    assert read_progress(path).state == "running"
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=300)
    process.stdin.close()
    process.stdout.close()
    found = read_progress(path)
    assert (found.state, found.error) == ("stopped", None)


def test_a_line_that_was_cut_off_is_no_line_yet(tmp_path):
    with ProgressLog(tmp_path, "a") as log:
        log.plan(PLAN)
        with log.path.open("a") as file:
            file.write('{"event":"start","label":"exp')
        assert read_progress(log.path).pieces[0].state == "waiting"


@given(some.binary(max_size=200))
def test_what_is_no_log_is_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("log") / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(CorruptError):
        read_progress(path)


def test_a_log_that_cannot_be_written_any_more_does_not_end_the_run(tmp_path):
    with ProgressLog(tmp_path, "a") as log:
        log._file.close()
        log._file = open("/dev/full", "w")  # noqa: SIM115
        with pytest.warns(RuntimeWarning, match="no longer written"):
            log.plan(PLAN)
        log.start("export")
        assert log._file.closed


def test_several_watchers_are_told_the_same(tmp_path):
    told = []

    class Watcher(Progress):
        def __init__(self, name):
            self.name = name

        def plan(self, works):
            told.append((self.name, "plan", len(works)))

        def start(self, label):
            told.append((self.name, "start", label))

        def note(self, **facts):
            told.append((self.name, "note", facts))

        def advance(self, done, total):
            told.append((self.name, "advance", done, total))

        def finish(self, label, seconds, *, reused, detail=""):
            told.append((self.name, "finish", label, seconds, reused, detail))

    both = Several(Watcher("a"), Watcher("b"))
    both.plan(PLAN)
    both.start("export")
    both.note(key="k")
    both.advance(1, 2)
    both.finish("export", 1.0, reused=True, detail="d")
    assert [event[1:] for event in told[::2]] == [event[1:] for event in told[1::2]]
    assert [event[1] for event in told[::2]] == ["plan", "start", "note", "advance", "finish"]
    assert [event[0] for event in told] == ["a", "b"] * 5


def test_the_pace_of_a_piece_corrects_its_guess_and_what_was_not_planned_counts_too():
    pieces = Pieces()
    pieces.plan([Work("export", 4.0), Work("export", 6.0)])
    pieces.start("export", at=100.0)
    pieces.advance(0.05, at=101.0)  # too early to tell
    assert (pieces.spent_s, pieces.left_s) == pytest.approx((0.2, 9.8))
    pieces.advance(0.5, at=110.0)
    assert (pieces.spent_s, pieces.left_s) == pytest.approx((10.0, 16.0))
    pieces.finish("export", 21.0, reused=False, detail="")
    assert (pieces.spent_s, pieces.left_s) == (21.0, 6.0)
    pieces.start("report", at=121.0)
    pieces.finish("report", 1.0, reused=False, detail="")
    assert (pieces.spent_s, pieces.left_s) == (22.0, 6.0)
    assert [piece.state for piece in pieces.all] == ["done", "waiting", "done"]
