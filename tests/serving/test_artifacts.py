"""Which words name which artifacts, and what is said of those that name none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.server.models import write_linear
from workbench.artifact import seal
from workbench.errors import CorruptError, InputError
from workbench.records import Manifest
from workbench.serving import pack_artifact, resolve_artifacts
from workbench.serving.archives import ArtifactSource, FolderSource
from workbench.serving.unpacking import ArchiveError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory with the variants ``fp32`` and ``int8`` of one model, and a torch one."""
    for name in ("fp32", "int8", "torch"):
        folder = write_linear(tmp_path / "run/variants" / name)
        update = {"name": "linear"}
        if name == "torch":
            update |= {"format": "torch", "model_file": None}
        rename(folder, **update)
    return tmp_path / "run"


def rename(folder: Path, **update: str | None) -> None:
    manifest = json.loads((folder / "manifest.json").read_text()) | update
    (folder / "manifest.json").write_text(json.dumps(manifest))


def names(*words: object, variant: str | None = None) -> dict[str, str]:
    found = resolve_artifacts([str(word) for word in words], variant)
    return {name: artifact.path.name for name, artifact in found.items()}


def test_a_folder_a_run_with_a_variant_and_both_in_one_word(run: Path) -> None:
    assert names(run / "variants/int8") == {"linear": "int8"}
    assert names(run, variant="int8") == {"linear": "int8"}
    assert names(f"{run}:int8") == {"linear": "int8"}
    assert names(f"{run}:fp32", run, variant="int8") == {
        "linear-fp32": "fp32",
        "linear-int8": "int8",
    }


def test_the_only_variant_of_a_run_needs_no_name(tmp_path: Path) -> None:
    write_linear(tmp_path / "run/variants/int8")
    assert names(tmp_path / "run") == {"int8": "int8"}


def test_a_name_that_no_url_or_folder_may_hold_is_changed(tmp_path: Path) -> None:
    rename(write_linear(tmp_path / "m"), name="../a model/ä")
    assert names(tmp_path / "m") == {"a-model": "m"}


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["none"], "none does not exist", "Give an artifact's folder"),
        (["empty"], "is neither an artifact nor a run directory", "RUN:VARIANT"),
        (["a-file"], "a-file is a file", "Give an artifact's folder"),
        (["run"], "run has several variants", "fp32, int8, torch"),
        (["run:none"], "run has no variant 'none'", "fp32, int8, torch"),
        (["run:torch"], "holds a torch model", "Export"),
        (["run:int8", "run/variants/int8"], "would both be served as 'linear-int8'", "once"),
    ],
)
def test_what_names_no_artifact_is_said_in_a_sentence_with_a_hint(
    run: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str, hint: str
) -> None:
    monkeypatch.chdir(run.parent)
    Path("empty").mkdir()
    Path("a-file").touch()
    with pytest.raises(InputError) as caught:
        resolve_artifacts(words)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_variant_of_an_artifact_is_refused(run: Path) -> None:
    with pytest.raises(InputError, match="has no variants"):
        names(run / "variants/int8", variant="fp32")


def test_a_damaged_file_is_corrupt(tmp_path: Path) -> None:
    folder = write_linear(tmp_path / "m")
    seal(folder, Manifest.model_validate_json((folder / "manifest.json").read_bytes()))
    (folder / "model.onnx").write_bytes(b"x")
    with pytest.raises(CorruptError):
        names(folder)


@pytest.mark.parametrize("sealed", [True, False])
def test_an_artifact_is_the_same_placed_and_through_an_archive(
    tmp_path: Path, sealed: bool
) -> None:
    folder = write_linear(tmp_path / "m")
    if sealed:
        seal(folder, Manifest.model_validate_json((folder / "manifest.json").read_bytes()))
    artifacts = resolve_artifacts([str(folder)])
    (tmp_path / "archives").mkdir()
    pack_artifact(artifacts["m"], tmp_path / "archives/m.tar.gz")
    for index, source in enumerate(
        (ArtifactSource(artifacts), FolderSource(tmp_path / "archives"))
    ):
        into = tmp_path / f"into{index}"
        assert source.targets() == ["m.tar.gz"]
        assert source.manifest("m.tar.gz") == artifacts["m"].manifest
        source.unpack("m.tar.gz", into)
        for file in ("manifest.json", "model.onnx"):
            assert (into / file).read_bytes() == (folder / file).read_bytes()
        with pytest.raises(ArchiveError, match="no archive"):
            source.unpack("n.tar.gz", tmp_path / "none")
