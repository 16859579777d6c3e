"""Packages: what is in them, that it is the same each time, and what is refused."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from tests.serving.conftest import make_artifact
from workbench.artifact import Artifact, file_digest, open_artifact
from workbench.errors import CorruptError, InputError
from workbench.packaging.package import load_package, make_package
from workbench.packaging.records import Endpoint
from workbench.packaging.sources import Source, find_sources


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> list[Artifact]:
    root = tmp_path_factory.mktemp("artifacts")
    return [make_artifact(root / f"plus-{n}", float(n)) for n in range(2)]


def sources(artifacts: list[Artifact]) -> list[Source]:
    return find_sources([str(artifact.path) for artifact in artifacts])


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): file_digest(path) for path in files}


@pytest.mark.parametrize("endpoint", ["multi", "pipeline"])
def test_the_same_models_give_the_same_bytes(
    artifacts: list[Artifact], tmp_path: Path, endpoint: Endpoint
) -> None:
    for place in ("here", "there"):
        make_package(sources(artifacts), endpoint, tmp_path / place, name="plus")
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


def test_an_archive_holds_the_artifact(artifacts: list[Artifact], tmp_path: Path) -> None:
    made = make_package(sources(artifacts[:1]), "single", tmp_path / "p", name="plus")
    assert made.models[0].archive == "models/model.tar.gz"
    with tarfile.open(tmp_path / "p/models/model.tar.gz") as tar:
        assert tar.getnames()[0] == "manifest.json"
        tar.extractall(tmp_path / "unpacked", filter="data")
    assert (
        open_artifact(tmp_path / "unpacked").digest == artifacts[0].digest == made.models[0].digest
    )


def test_the_record_names_every_file_and_is_read_back(
    artifacts: list[Artifact], tmp_path: Path
) -> None:
    made = make_package(sources(artifacts), "multi", tmp_path / "p", name="plus")
    found = contents(tmp_path / "p")
    del found["package.json"]
    assert {name: record.sha256 for name, record in made.files.items()} == found
    assert load_package(tmp_path / "p") == made


def test_the_bill_of_materials_is_valid_and_names_models_and_wheels(
    artifacts: list[Artifact], tmp_path: Path
) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    make_package(sources(artifacts), "multi", tmp_path / "p", name="plus")
    text = (tmp_path / "p/sbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    components = {c["name"]: c for c in json.loads(text)["components"]}
    assert {"plus-0", "plus-1", "onnx_server", "onnxruntime", "numpy"} <= set(components)
    assert components["plus-0"]["hashes"][0]["content"] == artifacts[0].digest
    assert components["numpy"]["hashes"], "a wheel without its digest"


def test_the_context_holds_what_the_dockerfile_copies(
    artifacts: list[Artifact], tmp_path: Path
) -> None:
    make_package(sources(artifacts), "multi", tmp_path / "p", name="plus")
    context = tmp_path / "p/context"
    copied = [
        line.split()[1]
        for dockerfile in context.glob("*/Dockerfile")
        for line in dockerfile.read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
    ]
    assert copied
    assert [name for name in copied if not (context / name).exists()] == []
    assert not list(context.rglob("__pycache__"))


def test_an_older_package_is_replaced_and_nothing_else(
    artifacts: list[Artifact], tmp_path: Path
) -> None:
    folder = tmp_path / "p"
    make_package(sources(artifacts), "multi", folder, name="plus")
    make_package(sources(artifacts[:1]), "single", folder, name="plus")
    assert [path.name for path in (folder / "models").iterdir()] == ["model.tar.gz"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="is no package"):
        make_package(sources(artifacts[:1]), "single", other, name="plus")
    assert (other / "thesis.txt").read_text() == "years of work"


def test_a_package_that_fails_leaves_the_older_one_and_nothing_half_made(
    artifacts: list[Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "p"
    make_package(sources(artifacts[:1]), "single", folder, name="plus")
    before = contents(folder)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("workbench.packaging.package.write_context", full)
    with pytest.raises(OSError, match="No space"):
        make_package(sources(artifacts), "multi", folder, name="plus")
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


@pytest.mark.parametrize(
    ("count", "endpoint", "why"),
    [(2, "single", "has one model, not 2"), (1, "pipeline", "has 2 to 15 containers, not 1")],
)
def test_models_that_do_not_fit_the_endpoint_are_refused(
    artifacts: list[Artifact], tmp_path: Path, count: int, endpoint: Endpoint, why: str
) -> None:
    with pytest.raises(InputError, match=why):
        make_package(sources(artifacts[:count]), endpoint, tmp_path / "p", name="plus")
    assert not (tmp_path / "p").exists()


def test_a_record_that_was_tampered_with_is_corrupt(
    artifacts: list[Artifact], tmp_path: Path
) -> None:
    make_package(sources(artifacts[:1]), "single", tmp_path / "p", name="plus")
    (tmp_path / "p/package.json").write_text("{}")
    with pytest.raises(CorruptError, match=r"package\.json cannot be read"):
        load_package(tmp_path / "p")
    with pytest.raises(InputError, match="is no package"):
        load_package(tmp_path)
