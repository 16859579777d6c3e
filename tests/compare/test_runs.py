"""Which runs are compared with which, what is refused, and how it is shown."""

import pytest

from tests.compare.built import machine, pair, run, source, variant
from workbench.compare import Comparison, compare_runs, read_source
from workbench.errors import CorruptError, InputError
from workbench.report.comparisons import comparison_grids
from workbench.report.markdown import grid_markdown

LATER = "2026-11-02T10:00:00+00:00"
LATEST = "2026-11-03T10:00:00+00:00"


def written(folder, made):
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(made.model_dump_json(exclude_none=True))
    return folder


def test_a_run_is_a_directory_its_file_or_a_variant_of_either(tmp_path):
    folder = written(tmp_path / "a", pair())
    assert read_source(str(folder)).variant is None
    assert read_source(f"{folder}:int8").variant == "int8"
    assert read_source(str(folder / "run.json")).folder == folder
    assert read_source(f"{folder / 'run.json'}:fp32").variant == "fp32"
    alone = tmp_path / "kept.json"
    alone.write_text((folder / "run.json").read_text())
    assert read_source(str(alone)).folder is None


@pytest.mark.parametrize("text", ["absent", "absent:int8", "a:int9", "empty", ""])
def test_what_is_no_run_is_refused_by_name(tmp_path, monkeypatch, text):
    written(tmp_path / "a", pair())
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        read_source(text)


def test_a_misspelt_variant_has_a_hint(tmp_path):
    folder = written(tmp_path / "a", pair())
    with pytest.raises(InputError, match="Did you mean 'int8'"):
        read_source(f"{folder}:int88")


@pytest.mark.parametrize("content", ['{"hello": 1}', "", "{", "\x00"])
def test_a_corrupt_or_foreign_file_ends_a_comparison(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(CorruptError, match=r"run\.json cannot be read"):
        read_source(str(tmp_path))


def test_a_run_of_a_newer_schema_is_refused(tmp_path):
    text = pair().model_dump_json().replace('"schema_version":1', '"schema_version":2')
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(CorruptError):
        read_source(str(tmp_path))


def test_a_run_is_not_compared_with_itself():
    with pytest.raises(InputError, match="the same run"):
        compare_runs([pair(), pair()])
    with pytest.raises(InputError, match="nothing to compare"):
        compare_runs([pair()])


def test_a_variant_is_not_compared_with_itself_by_another_way_of_naming_it():
    one = pair()
    with pytest.raises(InputError, match="the same variant of one run"):
        compare_runs([source(one, "a"), source(one, "a:int8", variant="int8")])


def test_a_variant_that_is_asked_for_and_has_no_partner_is_listed():
    more = run(*pair().variants, variant("w8", key="w8"), created=LATER)
    made = compare_runs([source(pair(), "a"), source(more, "b")], variants=["int8", "w8"])
    assert [row.name for row in made.variants] == ["int8"]
    assert made.unmatched == {"b": ("w8",)}


def test_a_smoke_run_is_not_compared_with_one_that_is_none():
    with pytest.raises(InputError, match="Only some are smoke runs: built"):
        compare_runs([pair(smoke=True), pair(LATER)])


def test_smoke_runs_are_compared_and_marked_as_saying_nothing():
    made = compare_runs([pair(smoke=True), pair(LATER, smoke=True)])
    assert made.smoke
    text = "".join(map(grid_markdown, comparison_grids(made)))
    assert text.count("no figure says anything") == 2


def test_variants_are_matched_by_name_and_the_others_listed():
    more = run(*pair().variants, variant("w8", key="w8"), created=LATER)
    made = compare_runs([source(pair(), "a"), source(more, "b")])
    assert [row.name for row in made.variants] == ["fp32", "int8"]
    assert made.unmatched == {"b": ("w8",)}
    assert "Without a partner, not compared: w8 of b." in comparison_grids(made)[0].notes


def test_runs_without_a_common_variant_are_refused_with_what_there_is():
    other = run(variant("half", key="half", baseline=True), created=LATER)
    with pytest.raises(InputError, match=r"built: fp32, int8; .*half"):
        compare_runs([source(pair(), "built"), source(other, "other")])


def test_only_the_variants_that_are_asked_for():
    made = compare_runs([pair(), pair(LATER)], variants=["int8"])
    assert [row.name for row in made.variants] == ["int8"]
    assert made.changes == ()
    with pytest.raises(InputError, match="Did you mean 'int8'"):
        compare_runs([pair(), pair(LATER)], variants=["int9"])


def test_runs_of_one_name_get_labels_of_their_own():
    made = compare_runs([pair(), pair(LATER), pair(LATEST)])
    labels = [one.label for one in made.runs]
    assert labels == [f"built {when}" for when in (pair().created, LATER, LATEST)]


def test_of_three_runs_each_is_held_against_the_first_in_a_column_of_its_own():
    runs = [source(pair(), "a"), source(pair(LATER, small="b", size=200), "b"),
            source(pair(LATEST, small="c", size=100, machine=machine(cpu="x")), "c")]  # fmt: skip
    made = compare_runs(runs)
    row = made.variants[1]
    assert [d and d.size for d in row.differences] == [
        None,
        pytest.approx(2 / 3),
        pytest.approx(1 / 3),
    ]
    assert [relation.run for relation in made.relations] == ["b", "c"]
    grids = comparison_grids(made)
    assert grids[2].columns == ("figure", "a", "b", "c")
    assert grids[1].columns[0] == "run"


def test_a_variant_of_a_run_is_compared_with_its_namesake_in_another():
    made = compare_runs([source(pair(), "a:int8", variant="int8"), source(pair(LATER), "b")])
    assert [row.name for row in made.variants] == ["int8"]


def test_the_record_reads_back_as_it_was_written():
    made = compare_runs([pair(), pair(LATER, small="other")])
    assert Comparison.model_validate_json(made.model_dump_json()) == made
    assert made.schema_version == 1


def test_every_row_of_every_grid_has_its_columns():
    runs = [pair(), pair(LATER, base="o", small="o"), pair(LATEST, machine=machine(cpu="x"))]
    for chosen in (runs, runs[:2], [runs[0], runs[2]]):
        for grid in comparison_grids(compare_runs(chosen)):
            assert {len(row) for row in grid.rows} == {len(grid.columns)}


def test_nothing_that_changed_is_said():
    grids = comparison_grids(compare_runs([pair(), pair(LATER)]))
    assert "nothing that is recorded" in grids[1].rows[0][0]
