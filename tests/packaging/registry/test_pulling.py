"""Pulling from a registry that fails on demand or lies."""

from __future__ import annotations

import errno
import json
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.registry.fake_registry import FakeRegistry, Fault
from tests.packaging.registry.registries import BIG, Told, make_image
from workbench.errors import CorruptError, InputError, MissingError, StepError
from workbench.packaging.image.parts import Form, Image, canonical, digest_of
from workbench.packaging.image.registry import patience, pull, push


def _pushed(fake: FakeRegistry, image: Image, form: Form = "docker") -> str:
    push(image, f"{fake.host}/app:1", form=form)
    fake.asked.clear()
    return f"{fake.host}/app:1"


def test_a_cut_download_goes_on_where_it_stopped(fake: FakeRegistry, tmp_path: Path) -> None:
    made = make_image(tmp_path / "made", BIG)
    where = _pushed(fake, made)
    layer = made.layers[0].blob.digest
    fake.faults = [Fault("GET", layer, cut_answer_after=5_000_000)]
    told = Told()
    assert pull(where, tmp_path / "pulled", progress=told).digest() == made.digest()
    ranges = [a.headers.get("range") for a in fake.asked if layer in a.path]
    assert ranges == [None, "bytes=5000000-"]
    assert told.advances[-1] == (made.compressed, made.compressed)


def test_a_line_that_breaks_often_is_borne_as_long_as_it_gets_on(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    made = make_image(tmp_path / "made", BIG)
    where = _pushed(fake, made)
    layer = made.layers[0].blob.digest
    fake.faults = [Fault("GET", layer, cut_answer_after=500_000, times=2 * patience.TRIES)]
    assert pull(where, tmp_path / "pulled").digest() == made.digest()
    assert fake.count("GET", layer) == 2 * patience.TRIES + 1


def test_a_line_that_breaks_at_the_same_place_is_given_up(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    made = make_image(tmp_path / "made", BIG)
    where = _pushed(fake, made)
    layer = made.layers[0].blob.digest
    half = {"cut_answer_after": 500_000, "status": 200, "body": fake.blobs[layer]}
    fake.faults = [Fault("GET", layer, **half, times=99)]  # type: ignore[arg-type]
    with pytest.raises(StepError, match="broke 6 times"):
        pull(where, tmp_path / "pulled")
    assert list((tmp_path / "pulled").iterdir()) == []


def test_another_range_than_was_asked_for_is_not_taken(fake: FakeRegistry, tmp_path: Path) -> None:
    made = make_image(tmp_path / "made", BIG)
    where = _pushed(fake, made)
    layer = made.layers[0].blob.digest
    other = {"Content-Range": "bytes 0-99/100"}
    fake.faults = [
        Fault("GET", layer, cut_answer_after=5_000_000),
        Fault("GET", layer, status=206, headers=other, body=b"x" * 100),
    ]
    assert pull(where, tmp_path / "pulled").digest() == made.digest()
    assert [a.headers.get("range") for a in fake.asked if layer in a.path][2] is None


def test_a_registry_without_ranges_sends_the_blob_again(fake: FakeRegistry, tmp_path: Path) -> None:
    made = make_image(tmp_path / "made", BIG)
    where = _pushed(fake, made)
    layer = made.layers[0].blob.digest
    whole = Fault("GET", layer, status=200, body=fake.blobs[layer])
    fake.faults = [Fault("GET", layer, cut_answer_after=5_000_000), whole]
    assert pull(where, tmp_path / "pulled").digest() == made.digest()


def test_another_content_is_refused_and_leaves_nothing(
    fake: FakeRegistry, image: Image, tmp_path: Path
) -> None:
    where = _pushed(fake, image)
    digest = image.layers[1].blob.digest
    right = fake.blobs[digest]
    for wrong in (right[:-1] + b"x", right + b"more", right[:-5], b""):
        fake.blobs[digest] = wrong
        with pytest.raises(CorruptError, match="is something else"):
            pull(where, tmp_path / "pulled")
    left = [path.name for path in (tmp_path / "pulled").iterdir()]
    assert left == [image.layers[0].blob.digest.removeprefix("sha256:")]


def test_a_damaged_blob_in_the_folder_is_fetched_again(
    fake: FakeRegistry, image: Image, tmp_path: Path
) -> None:
    where = _pushed(fake, image)
    first = pull(where, tmp_path / "pulled")
    first.layers[1].blob.path.write_bytes(b"x" * first.layers[1].blob.size)
    told = Told()
    pull(where, tmp_path / "pulled", progress=told)
    assert "1 of 2 layers were there" in told.details[0]
    content = image.layers[1].blob.path.read_bytes()
    assert first.layers[1].blob.path.read_bytes() == content


def test_a_manifest_that_was_changed_is_refused(
    fake: FakeRegistry, image: Image, tmp_path: Path
) -> None:
    _pushed(fake, image)
    digest = image.digest()
    kind, body = fake.manifests[digest]
    fake.manifests[digest] = kind, body + b" "
    with pytest.raises(CorruptError, match="Something on the way"):
        pull(f"{fake.host}/app@{digest}", tmp_path)


@pytest.mark.parametrize(
    "index_type", ["docker.distribution.manifest.list.v2", "oci.image.index.v1"]
)
def test_the_platform_is_chosen_from_an_index(
    fake: FakeRegistry, image: Image, tmp_path: Path, index_type: str
) -> None:
    where = _pushed(fake, image, "oci")

    def entry(architecture: str, digest: str) -> dict[str, Any]:
        platform = {"os": "linux", "architecture": architecture}
        return {"digest": digest, "size": 1, "mediaType": "x", "platform": platform}

    attestation = entry("unknown", "sha256:" + "1" * 64)
    attestation["platform"]["os"] = "unknown"
    entries = [attestation, entry("arm64", "sha256:" + "2" * 64)]
    kind = f"application/vnd.{index_type}+json"
    index = {"schemaVersion": 2, "mediaType": kind}
    fake.manifests["1"] = kind, json.dumps({**index, "manifests": entries}).encode()
    with pytest.raises(InputError, match="It is there for linux/arm64") as caught:
        pull(where, tmp_path)
    assert "not there for linux/amd64" in str(caught.value)
    entries.append(entry("amd64", image.digest("oci")))
    fake.manifests["1"] = kind, json.dumps({**index, "manifests": entries}).encode()
    assert pull(where, tmp_path).digest("oci") == image.digest("oci")
    with pytest.raises(InputError, match="is an image for linux/amd64, not for linux/arm64"):
        pull(f"{fake.host}/app@{image.digest('oci')}", tmp_path, platform="linux/arm64")


def _replace_manifest(fake: FakeRegistry, image: Image, change: dict[str, Any]) -> None:
    read = json.loads(image.manifest())
    read.update(change)
    fake.manifests["1"] = read["mediaType"], json.dumps(read).encode()


LAYER = {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": 1}


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"mediaType": "application/x"}, InputError, "is a 'application/x'"),
        ({"layers": None}, CorruptError, "no list 'layers'"),
        ({"layers": ["x"]}, CorruptError, "lacks a descriptor"),
        ({"config": None}, CorruptError, "lacks a descriptor"),
        ({"layers": [{**LAYER, "digest": "sha256:../../etc"}]}, CorruptError, "names a blob"),
        ({"layers": [{**LAYER, "digest": "sha256:" + "0" * 64, "size": -1}]}, CorruptError, "size"),
        (
            {
                "layers": [
                    {
                        "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd",
                        "size": 1,
                        "digest": "sha256:" + "0" * 64,
                    }
                ]
            },
            InputError,
            "Only gzipped layers",
        ),
        ({"layers": []}, CorruptError, "0 layers and 2 diff_ids"),
    ],
)
def test_manifests_are_not_trusted(
    fake: FakeRegistry,
    image: Image,
    tmp_path: Path,
    change: dict[str, Any],
    kind: type[Exception],
    message: str,
) -> None:
    where = _pushed(fake, image)
    _replace_manifest(fake, image, change)
    with pytest.raises(kind, match=message):
        pull(where, tmp_path / "pulled")


def test_a_layer_that_is_not_what_the_configuration_says(
    fake: FakeRegistry, image: Image, tmp_path: Path
) -> None:
    settings = image.settings()
    settings["rootfs"]["diff_ids"][0] = "sha256:" + "0" * 64
    where = _pushed(fake, Image(canonical(settings), image.layers))
    with pytest.raises(CorruptError, match="unpacks to something else"):
        pull(where, tmp_path / "pulled")


def test_too_little_space_is_said_before_anything_is_fetched(
    fake: FakeRegistry, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = _pushed(fake, image)
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1000))
    with pytest.raises(MissingError, match=r"0 MB, and .* has 0 MB free"):
        pull(where, tmp_path / "pulled")
    assert not (tmp_path / "pulled").exists()


def test_a_disk_that_fills_up_leaves_nothing(
    fake: FakeRegistry, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = _pushed(fake, image)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(MissingError, match="No space left"):
        pull(where, tmp_path / "pulled")
    assert list((tmp_path / "pulled").iterdir()) == []


def test_an_unwritable_place_is_said(fake: FakeRegistry, image: Image, tmp_path: Path) -> None:
    where = _pushed(fake, image)
    (tmp_path / "file").write_text("")
    with pytest.raises(MissingError, match="Cannot write"):
        pull(where, tmp_path / "file" / "blobs")


def test_an_image_of_others_has_titles(fake: FakeRegistry, image: Image, tmp_path: Path) -> None:
    settings = image.settings()
    settings["history"] = [
        {"created_by": "ENV a=b", "empty_layer": True},
        {"created_by": "COPY a b", "comment": "the base"},
        {"created_by": "RUN x"},
    ]
    pulled = pull(_pushed(fake, Image(canonical(settings), image.layers)), tmp_path / "a")
    assert [layer.title for layer in pulled.layers] == ["the base", "RUN x"]
    del settings["history"]
    pulled = pull(_pushed(fake, Image(canonical(settings), image.layers)), tmp_path / "a")
    assert [layer.title for layer in pulled.layers] == ["layer 1", "layer 2"]
    assert digest_of(pulled.config) == pulled.config_digest
