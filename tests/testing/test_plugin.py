"""The plugin in pytest sessions of its own: fixtures, options, messages, summary, xdist."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from importlib.metadata import entry_points

import pytest

pytest_plugins = "pytester"

TESTS = """
    import pytest

    @pytest.mark.workbench(batch=32)
    def test_small(artifact, profile, baseline):
        assert artifact.manifest.name == "pair"
        assert profile.artifact.path == artifact.path
        assert profile.settings[0].batch == 32
        assert profile.size <= baseline.size * 1.1

    @pytest.mark.workbench(budget=0)
    def test_open(profile, baseline):
        assert profile.p95 <= baseline.p95 * 1.1
"""


@pytest.fixture
def suite(pytester, run_folder, store):
    """A team's own tests, beside the folder of its runs; in a session within this process.

    ``apart`` runs them in a process of their own. What is heavy was imported by ``run_folder``, so
    that the inner session, which forgets what it imports, does not load it twice.
    """
    import workbench.testing.profiles  # noqa: F401

    (pytester.path / "runs").symlink_to(run_folder.parent)

    def run(tests: str, *arguments: str, ini: str = "", apart: bool = False):
        pytester.makepyfile(tests)
        pytester.makeini(f"[pytest]\naddopts = --strict-markers\n{ini}")
        start = pytester.runpytest_subprocess if apart else pytester.runpytest_inprocess
        return start("-p", "no:cacheprovider", *arguments)

    return run


def test_it_is_an_entry_point():
    (found,) = entry_points(group="pytest11", name="workbench")
    assert found.value == "workbench.testing.plugin"


def test_loading_it_costs_next_to_nothing():
    heavy = ("pydantic", "numpy", "onnx", "torch", "typer", "rich", "workbench.records")
    code = f"import workbench.testing.plugin, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.strip() == "[]"


def test_a_model_is_named_on_the_command_line_and_the_summary_lists_what_was_judged(suite):
    done = suite(TESTS, "--workbench-artifact", "runs/pair:fast")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(
        [
            ">*assert profile.p95 <= baseline.p95 * 1.1",
            "E*UndecidedError: latency.p95 <= 1.1 * baseline is undecided (fast against slow)",
            "E*the budget of 0 s ended after 0 processes, and the first look is at 6",
            "*workbench: judged figures*",
            "pass      size <= 1.1 * baseline  (fast against slow)  *::test_small",
            "undecided latency.p95 <= 1.1 * baseline  (fast against slow)  *::test_open",
            "2 compared, on 0 processes, 0.0 s of measuring",
        ]
    )
    # The traceback ends in the team's own line.
    assert "deciding.py:" not in done.stdout.str()
    assert "profiles.py:" not in done.stdout.str()


def test_the_configuration_file_and_the_marker_name_models_below_the_root(suite):
    tests = """
        import pytest

        def test_configured(profile):
            assert profile.name == "fast" and profile.baseline.name == "fast"

        @pytest.mark.workbench("runs/pair:slow", baseline="runs/pair:fast", batch=[1, 2])
        class TestMarked:
            def test_class(self, profile, baseline):
                assert (profile.name, baseline.name) == ("slow", "fast")
                assert len(profile.settings) == 2

            @pytest.mark.workbench(batch=4)
            def test_closest(self, profile):
                assert profile.name == "slow"
                assert [s.batch for s in profile.settings] == [4]
    """
    ini = "workbench_artifact = runs/pair:fast\nworkbench_baseline = runs/pair:fast\n"
    suite(tests, ini=ini).assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("arguments", "ini", "outcome"),
    [
        (("--workbench-undecided", "skip"), "", {"skipped": 1}),
        ((), "workbench_undecided = xfail", {"xfailed": 1}),
        ((), "", {"failed": 1}),
    ],
)
def test_what_an_undecided_bound_does_is_a_setting(suite, arguments, ini, outcome):
    tests = """
        def test_open(profile, baseline):
            assert profile.p50 <= baseline.p50
    """
    model = ("--workbench-artifact", "runs/pair:fast", "--workbench-budget", "0")
    suite(tests, *model, *arguments, ini=ini).assert_outcomes(**outcome)


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ("", "workbench: no model is named for this test. Give --workbench-artifact*"),
        ("@pytest.mark.workbench('runs/pair:fsat')", "workbench: *has no variant 'fsat'*"),
        ("@pytest.mark.workbench('runs/pair:slow')", "workbench: 'slow' has nothing to be held*"),
        ("@pytest.mark.workbench('runs/pair:fast', bath=1)", "*takes no argument 'bath'*"),
        ("@pytest.mark.workbench('a', 'b')", "*takes one argument without a name*"),
        ("@pytest.mark.workbench('runs/pair:fast', budget='5m')", "*'5m' is no budget in seconds*"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(suite, mark, message):
    done = suite(f"import pytest\n{mark}\ndef test_it(profile, baseline):\n    pass\n")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines([message])
    assert "Traceback" not in done.stdout.str()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--workbench-budget=soon", "*'soon' is no budget in seconds*"),
        ("--workbench-undecided=maybe", "*can fail, skip, xfail; not 'maybe'*"),
    ],
)
def test_a_wrong_option_ends_the_session_before_a_test_runs(suite, argument, message):
    done = suite("def test_it(): pass\n", argument)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([message])


def test_junit_xml_bears_each_comparison(suite, pytester):
    suite(TESTS, "--workbench-artifact", "runs/pair:fast", "--junitxml=out.xml", "-k", "small")
    tree = ElementTree.parse(pytester.path / "out.xml")
    (value,) = [
        p.get("value") for p in tree.iter("property") if p.get("name") == "workbench-judged"
    ]
    entry = json.loads(value)
    assert entry["gate"] == "size <= 1.1 * baseline"
    assert entry["outcome"] == "pass"
    assert entry["bound"] > entry["observed"]["value"] > 0


def test_under_xdist_the_summary_is_whole_and_measuring_tests_are_one_group(suite):
    tests = """
        import os, pytest

        @pytest.mark.parametrize("n", range(4))
        def test_each(request, profile, baseline, n):
            assert "PYTEST_XDIST_WORKER" in os.environ
            assert request.node.get_closest_marker("xdist_group").args == ("workbench",)
            assert profile.size <= baseline.size * (1 + n)

        def test_other(request):
            assert request.node.get_closest_marker("xdist_group") is None
    """
    model = ("--workbench-artifact", "runs/pair:fast")
    done = suite(tests, *model, "-n", "2", "--dist", "loadgroup", apart=True)
    done.assert_outcomes(passed=5)
    done.stdout.fnmatch_lines(["*judged figures*", "4 compared, on 0 processes*"])


def test_it_can_be_left_out_and_shows_its_options(suite):
    done = suite("def test_it(artifact): pass\n", "-p", "no:workbench")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*fixture 'artifact' not found*"])
    shown = suite("def test_it(): pass\n", "--help")
    shown.stdout.fnmatch_lines(["workbench: bounds on a model's figures:", "*--workbench-budget*"])
    assert "judged figures" not in suite("def test_it(): pass\n").stdout.str()


def test_a_model_is_really_measured_in_a_session(suite):
    tests = """
        from workbench.testing import assert_within, measure

        def test_fast(artifact, baseline):
            measured = measure(artifact, against=baseline, batch=32)
            assert measured.p50 <= measured.baseline.p50 * 0.8
            assert_within(measured, "speedup >= 1.2")

        def test_slow(artifact):
            measured = measure(artifact, batch=32)
            assert measured.p50 <= measured.baseline.p50 / 100
    """
    model = ("--workbench-artifact", "runs/pair:fast", "--workbench-budget", "400")
    done = suite(tests, *model, apart=True)
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(
        [
            ">*assert measured.p50 <= measured.baseline.p50 / 100",
            "E*BoundError: latency.p50 <= 0.01 * baseline is broken (fast against slow)",
            "E*p50 *[[]*[]] × baseline, bound 0.01, side by side at 32, 1 thr",
            "3 compared, on 6 processes*",
        ]
    )
