"""The same trials on Ray's workers; skipped where Ray is not installed."""

import pytest

from tests.end_to_end.test_bad_input import refused
from tests.search.conftest import SEARCH, judged_alike
from workbench.search.records import SearchResult

pytest.importorskip("optuna", reason="optuna is not installed (workbench[search])")
pytest.importorskip("ray", reason="ray is not installed (workbench[ray])")


@pytest.mark.slow
def test_a_local_ray_finds_what_this_process_finds(cli, searched, tmp_path):
    recipe = searched(SEARCH.replace("[size, quality]", "[size, quality, latency.p50]"))
    pinned = ("--engine", "ray", "--workers", 2, "--worker-type", "measuring", "--trials", 4)
    done = cli("search", recipe, "--json", *pinned)
    assert done.code == 0, done.err
    there = SearchResult.model_validate_json(done.out)
    assert [trial.number for trial in there.trials] == [1, 2, 3, 4]
    assert judged_alike(there, recipe, tmp_path / "store") >= 3
    assert all(t.figures["latency.p50"].low > 0 for t in there.trials if t.figures)


def test_a_cluster_must_say_where_latency_is_measured(cli, searched):
    recipe = searched(SEARCH.replace("[size, quality]", "[size, latency.p50]"))
    done = cli("search", recipe, "--engine", "ray", "--address", "127.0.0.1:1")
    refused(done, "one kind of machine", "--worker-type")
    done = cli("search", searched(), "--engine", "ray", "--address", "127.0.0.1:1")
    refused(done, "There is no Ray at 127.0.0.1:1")
