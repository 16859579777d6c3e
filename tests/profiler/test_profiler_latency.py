"""Latency: real workers on tiny models; facts with generous bounds, no tight times."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest
from onnx import TensorProto, helper

from workbench import machine
from workbench.errors import InputError, ModelError, StepError, TooLargeError
from workbench.profile_options import ProfileOptions
from workbench.profiler import child, measure_latency
from workbench.profiler.latency import latency_of
from workbench.profiler.worker import orders, warm_up
from workbench.records import Setting

Chain = Callable[..., Path]
CELL = Setting(batch=1, threads=1)


def quick(**options: object) -> ProfileOptions:
    return ProfileOptions.model_validate(
        {
            "batch": [2],
            "seconds": 0.4,
            "min_rounds": 40,
            "max_rounds": 150,
            "processes": 1,
            **options,
        }
    )


def test_a_model_against_itself_is_about_as_fast(chain: Chain) -> None:
    path = chain("a", 4, 192)
    latencies, skipped = measure_latency(
        {"a": path, "b": path}, baseline="a", options=quick(processes=3)
    )
    (own,), (other,) = latencies["a"], latencies["b"]
    assert skipped == ()
    assert own.speedup is None
    assert other.speedup is not None
    assert other.speedup.low <= 1.3
    assert other.speedup.high >= 0.77
    assert own.p50_ms.low <= own.p50_ms.value <= own.p50_ms.high
    assert own.p95_ms is not None
    assert own.p50_ms.n == len(own.samples_ms) == len(other.samples_ms) >= 40


def test_a_model_with_more_products_is_slower_and_progress_is_told(chain: Chain) -> None:
    seen: list[tuple[float, float]] = []
    latencies, _ = measure_latency(
        {"small": chain("small", 2, 256), "large": chain("large", 12, 256)},
        baseline="small",
        options=quick(batch=[1, 16]),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert [latency.setting.batch for latency in latencies["large"]] == [1, 16]
    for latency in latencies["large"]:
        assert latency.speedup is not None
        assert latency.speedup.value < 0.7
    assert seen[0] == (0, 2)
    assert seen[-1] == (2, 2)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_several_processes_share_the_rounds_and_tell_the_progress(chain: Chain) -> None:
    seen: list[float] = []
    latencies, _ = measure_latency(
        {"a": chain("a", 1)},
        baseline="a",
        options=quick(processes=2, max_rounds=50, batch=[1, 2], seconds=20),
        progress=lambda done, total: seen.append(done / total),
    )
    for latency in latencies["a"]:
        assert len(latency.samples_ms) == 50
        assert "in 2 processes" in latency.p50_ms.method
    assert seen == sorted(seen)
    assert 0.5 in seen


def test_a_cell_that_has_spent_its_time_is_not_measured_in_further_processes(chain: Chain) -> None:
    options = quick(processes=4, seconds=1e-6, min_rounds=2)
    latencies, _ = measure_latency({"a": chain("a", 1)}, baseline="a", options=options)
    assert len(latencies["a"][0].samples_ms) == 6
    assert "in 3 processes" in latencies["a"][0].p50_ms.method


def test_percentiles_wait_for_enough_samples() -> None:
    def of(n: int) -> tuple[bool, bool]:
        latency = latency_of(CELL, [[1.0 + i / n for i in range(n)]], None)
        return latency.p95_ms is not None, latency.p99_ms is not None

    assert [of(19), of(20), of(99), of(100)] == [
        (False, False),
        (True, False),
        (True, False),
        (True, True),
    ]


def test_rounds_that_drift_are_not_steady() -> None:
    rising = [[1.0 + i / 50 for i in range(50)]]
    assert not latency_of(CELL, rising, None).steady
    assert latency_of(CELL, [[1.0, 1.2] * 25], None).steady


def test_unsettled_times_are_told_in_the_method() -> None:
    assert "not settled" in latency_of(CELL, [[1.0, 2.0]], None, warm=False).p50_ms.method


def test_no_artifact_always_follows_the_same_one() -> None:
    turns = orders(["a", "b", "c"], seed=0)
    rounds = [next(turns) for _ in range(300)]
    for place in range(3):
        at_place = [order[place] for order in rounds]
        assert {name: at_place.count(name) for name in "abc"} == {"a": 100, "b": 100, "c": 100}
    flat = [name for order in rounds for name in order]
    followers = [b for a, b in pairwise(flat) if a == "a"]
    assert min(followers.count("b"), followers.count("c")) > 75


def test_the_warm_up_ends_when_times_repeat_and_admits_when_they_do_not() -> None:
    falling = iter([9.0, 7.0, 5.0, 3.0, 2.0, 1.0] + [1.0] * 50)
    assert warm_up(lambda: next(falling), 60) == (True, 1.0)
    doubling = iter([2.0**i for i in range(300)])
    settled, _ = warm_up(lambda: next(doubling), 60)
    assert not settled


def test_the_measuring_process_loads_no_framework() -> None:
    code = (
        "import sys, workbench.profiler.worker\n"
        "print([m for m in ('torch', 'onnx', 'transformers', 'psutil') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_device_is_skipped_with_its_reason(chain: Chain) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has CUDA")
    latencies, skipped = measure_latency(
        {"a": chain("a", 1)},
        baseline="a",
        options=quick(devices=["cpu", "cuda"], batch=[1, 2], max_rounds=40),
    )
    assert [latency.setting.device for latency in latencies["a"]] == ["cpu", "cpu"]
    assert [entry.name for entry in skipped] == ["cuda"]
    assert "CUDAExecutionProvider" in skipped[0].reason


def test_more_threads_than_cores_are_skipped_with_the_reason(chain: Chain) -> None:
    latencies, skipped = measure_latency(
        {"a": chain("a", 1)}, baseline="a", options=quick(threads=[4096])
    )
    assert latencies == {"a": ()}
    assert "cores" in skipped[0].reason


def test_a_killed_worker_is_told_as_lack_of_memory_with_artifact_and_cell(chain: Chain) -> None:
    def kill(done: float, total: float) -> None:
        for process in psutil.Process().children():
            if child.WORKER in process.cmdline():
                process.kill()

    with pytest.raises(TooLargeError, match=r"killed while at .*'big' in 2, 1 thr.*out of memory"):
        measure_latency({"big": chain("big", 1)}, baseline="big", options=quick(), progress=kill)


@pytest.mark.parametrize(
    ("death", "told"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "died of SIGSEGV"),
        ("sys.exit('the floor gave way')", "ended with code 1 .*the floor gave way"),
        ("pass", "ended with code 0"),
    ],
)
def test_a_crash_names_what_was_being_done(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, death: str, told: str
) -> None:
    script = tmp_path / "crash.py"
    at = json.dumps({"at": "'int8' in 8 × 128, 1 thr"})
    script.write_text(
        f"import os, signal, sys\nprint('noise of a library')\nprint({at!r}, flush=True)\n{death}\n"
    )
    monkeypatch.setattr(child, "COMMAND", (str(script),))
    with pytest.raises(StepError, match=f"{told.split(' .*')[0]} while at 'int8' in 8 × 128"):
        measure_latency({"a": chain("a", 1)}, baseline="a", options=quick())


def test_models_that_take_other_inputs_are_refused(chain: Chain, save: Chain) -> None:
    other = save("z", [helper.make_node("Neg", ["z"], ["y"])], {"z": ["batch", 64]}, {})
    with pytest.raises(ModelError, match=r"'other' takes other inputs.*'x', 'z'"):
        measure_latency(
            {"a": chain("a", 1), "other": other}, baseline="a", options=quick(max_rounds=40)
        )


def test_given_inputs_are_cast_to_each_models_own_dtype(chain: Chain, save: Chain) -> None:
    half = save(
        "half",
        [helper.make_node("Neg", ["x"], ["y"])],
        {"x": ["batch", 64]},
        {},
        dtypes={"x": TensorProto.FLOAT16, "y": TensorProto.FLOAT16},
    )
    cells: list[Setting] = []

    def feeds(setting: Setting) -> dict[str, np.ndarray]:
        cells.append(setting)
        return {"x": np.ones((setting.batch, 64), np.float32)}

    latencies, _ = measure_latency(
        {"a": chain("a", 1), "half": half}, baseline="a", options=quick(), feeds=feeds
    )
    assert [cell.batch for cell in cells] == [2]
    assert len(latencies["half"]) == 1


def test_inputs_that_the_model_cannot_take_end_in_its_own_words(chain: Chain) -> None:
    def feeds(setting: Setting) -> dict[str, np.ndarray]:
        return {"x": np.ones((setting.batch, 63), np.float32)}

    with pytest.raises(ModelError, match=r"'a' does not run on the given inputs \(in 2, 1 thr\)"):
        measure_latency({"a": chain("a", 1)}, baseline="a", options=quick(), feeds=feeds)


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x08\x09no model")
    with pytest.raises(ModelError, match=r"broken\.onnx is not an ONNX model"):
        measure_latency({"a": broken}, baseline="a", options=quick())


def test_a_baseline_that_is_not_there_is_refused(chain: Chain) -> None:
    with pytest.raises(InputError, match="baseline 'b' is not among a"):
        measure_latency({"a": chain("a", 1)}, baseline="b", options=quick())


def test_too_little_memory_is_refused_with_figures(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "available_memory", lambda: 1000)
    with pytest.raises(TooLargeError, match=r"needs about .* GB .* GB are available"):
        measure_latency({"a": chain("a", 1)}, baseline="a", options=quick())
