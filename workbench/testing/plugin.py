"""The pytest plugin: options, the fixtures ``artifact``, ``baseline`` and ``profile``, a summary.

It is loaded in every pytest run of whoever installed the workbench, so nothing of weight is
imported before a fixture is used; ``-p no:workbench`` leaves it out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from workbench.testing.session import BUDGET_S, POLICIES, Session, begin, end

if TYPE_CHECKING:
    from workbench.artifact import Artifact
    from workbench.testing.profiles import Profile

PROPERTY = "workbench-judged"
"""Name of the property that a test's report, and JUnit XML, bears for each comparison."""

MARKER = (
    "workbench(artifact, *, baseline, batch, sequence, threads, device, budget, undecided): the "
    "model of this test (RUN:VARIANT, a folder, an .onnx file) and how it is measured."
)
CELL = ("batch", "sequence", "threads", "device")
KEYS = ("baseline", *CELL, "budget", "undecided")
NO_MODEL = (
    "workbench: no model is named for this test. Give --workbench-artifact RUN:VARIANT, the "
    "setting workbench_artifact, or @pytest.mark.workbench('RUN:VARIANT')."
)
USING = ("profile", "baseline")
"""Fixtures whose tests most likely measure."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, each with a setting of the same meaning for the configuration file."""
    group = parser.getgroup("workbench", "workbench: bounds on a model's figures")
    for name, metavar, text in (
        ("artifact", "MODEL", "model under test: RUN:VARIANT, a run, an artifact, an .onnx file"),
        ("baseline", "MODEL", "what it is held against; else the baseline of its run"),
        ("budget", "SECONDS", f"measuring time of one comparison; else {BUDGET_S:g}"),
        ("undecided", "OUTCOME", "what an undecided comparison does: fail (default), skip, xfail"),
    ):
        group.addoption(f"--workbench-{name}", metavar=metavar, help=text)
        parser.addini(f"workbench_{name}", text)
    parser.addini(
        "workbench_comparisons",
        "comparisons that share a probability of 1 % of any false failure; else each has its own",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and let this session's settings hold."""
    config.addinivalue_line("markers", MARKER)
    plugin = WorkbenchPlugin(config)
    config.pluginmanager.register(plugin, "workbench-session")
    begin(plugin.session)
    config.add_cleanup(lambda: end(plugin.session))


class WorkbenchPlugin:
    """What one pytest session knows: its settings, the test under way, what was measured."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.entries: list[tuple[str, dict[str, Any]]] = []
        self.item: pytest.Item | None = None
        self.session = Session(
            budget_s=_seconds(self.setting("budget") or BUDGET_S),
            undecided=_policy(self.setting("undecided") or "fail"),
            comparisons=_count(config.getini("workbench_comparisons") or 1),
            record=self.record,
        )
        self.defaults = (self.session.budget_s, self.session.undecided)

    def setting(self, name: str) -> str | None:
        """An option, else the setting of the configuration file."""
        given = self.config.getoption(f"workbench_{name}")
        return given or self.config.getini(f"workbench_{name}") or None

    def model(self, name: str, marked: dict[str, Any]) -> Any:
        """A model as the marker, the command line or the configuration file names it.

        What a file names is relative to the root folder, what a person types to where they are.
        None where nobody names a baseline; a test without a model fails.
        """
        root, here = self.config.rootpath, self.config.invocation_params.dir
        if name in marked:
            return _below(root, marked[name])
        if typed := self.config.getoption(f"workbench_{name}"):
            return _below(here, typed)
        if written := self.config.getini(f"workbench_{name}"):
            return _below(root, written)
        if name == "artifact":
            pytest.fail(NO_MODEL, pytrace=False)
        return None

    def record(self, entry: dict[str, Any]) -> None:
        """Keep a comparison with the test that made it; xdist brings it to the main process."""
        if self.item is not None:
            self.item.user_properties.append((PROPERTY, json.dumps(entry)))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Begin a test: what its marker sets holds while it runs; a wrong one is its error."""
        self.item = item
        self.session.budget_s, self.session.undecided = self.defaults
        marked = _marked(item)
        try:
            if "budget" in marked:
                self.session.budget_s = _seconds(marked["budget"])
            if "undecided" in marked:
                self.session.undecided = _policy(marked["undecided"])
        except pytest.UsageError as error:
            pytest.fail(str(error), pytrace=False)

    @pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """With ``--dist loadgroup``, put the tests that measure into one group.

        xdist 3.8 does not see groups under pytest 9.2; the lock keeps measuring apart without them.
        """
        if not getattr(self.config.option, "loadgroup", False):  # set by xdist in its workers
            return
        for item in items:
            measures = item.get_closest_marker("workbench") or set(USING) & set(
                getattr(item, "fixturenames", ())
            )
            if measures and not item.get_closest_marker("xdist_group"):
                item.add_marker(pytest.mark.xdist_group("workbench"))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather what a test compared; the last report of a test has it all."""
        if report.when == "teardown":
            self.entries += [
                (report.nodeid, json.loads(str(value)))
                for name, value in report.user_properties
                if name == PROPERTY
            ]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List every figure that was judged."""
        if not self.entries:
            return
        terminalreporter.section("workbench: judged figures")
        for nodeid, entry in self.entries:
            models = " against ".join(entry["models"])
            terminalreporter.write_line(
                f"{entry['outcome']:9} {entry['gate']}  ({models})  {nodeid}"
            )
            terminalreporter.write_line(f"          {entry['reason']}")
        processes = sum(entry["started"] for _, entry in self.entries)
        seconds = sum(entry["seconds"] for _, entry in self.entries)
        count = len(self.entries)
        line = f"{count} compared, on {processes} processes, {seconds:.1f} s of measuring"
        workers = self.config.getoption("numprocesses", None)
        if processes and workers and workers > 1:
            line += f"; beside {workers - 1} other workers, which make figures noisier"
        terminalreporter.write_line(line)


@pytest.fixture
def artifact(request: pytest.FixtureRequest) -> Artifact:
    """The model of this test, as an artifact with its path and manifest."""
    from workbench.errors import WorkbenchError
    from workbench.testing.subjects import find_subject

    plugin = _plugin(request.config)
    try:
        return find_subject(plugin.model("artifact", _marked(request.node))).artifact
    except WorkbenchError as error:
        _refuse(error)


@pytest.fixture
def profile(request: pytest.FixtureRequest) -> Profile:
    """The figures of this test's model, side by side with the baseline's."""
    from workbench.errors import WorkbenchError
    from workbench.testing.profiles import measure

    plugin, marked = _plugin(request.config), _marked(request.node)
    cell = {name: marked[name] for name in CELL if name in marked}
    try:
        return measure(
            plugin.model("artifact", marked), against=plugin.model("baseline", marked), **cell
        )
    except WorkbenchError as error:
        _refuse(error)


@pytest.fixture
def baseline(profile: Profile) -> Profile:
    """The baseline's figures, of the same rounds as ``profile``'s; also what to measure against."""
    from workbench.errors import WorkbenchError

    try:
        return profile.baseline
    except WorkbenchError as error:
        _refuse(error)


def _plugin(config: pytest.Config) -> WorkbenchPlugin:
    plugin = config.pluginmanager.get_plugin("workbench-session")
    assert isinstance(plugin, WorkbenchPlugin)
    return plugin


def _refuse(error: Exception) -> NoReturn:
    pytest.fail(f"workbench: {error}", pytrace=False)


def _marked(item: Any) -> dict[str, Any]:
    """What the markers say, the closest one last; wrong words are refused."""
    found: dict[str, Any] = {}
    for mark in reversed(list(item.iter_markers("workbench"))):
        unknown = sorted(set(mark.kwargs) - {"artifact", *KEYS})
        if unknown or len(mark.args) > 1:
            what = f"no argument '{unknown[0]}'" if unknown else "one argument without a name"
            pytest.fail(
                f"@pytest.mark.workbench takes {what}; it takes the model, and {', '.join(KEYS)}.",
                pytrace=False,
            )
        found |= mark.kwargs | ({"artifact": mark.args[0]} if mark.args else {})
    return found


def _below(folder: Path, model: object) -> object:
    """A relative path below a folder; what is no path stays."""
    return str(folder / model) if isinstance(model, str | Path) else model


def _seconds(given: object) -> float:
    try:
        seconds = float(str(given))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise pytest.UsageError(f"workbench: '{given}' is no budget in seconds.")
    return seconds


def _policy(given: object) -> Any:
    if given not in POLICIES:
        raise pytest.UsageError(
            f"workbench: an undecided comparison can {', '.join(POLICIES)}; not '{given}'."
        )
    return given


def _count(given: object) -> int:
    if not (text := str(given)).isdigit() or int(text) < 1:
        raise pytest.UsageError(f"workbench_comparisons = {given}: a whole number is needed.")
    return int(text)
