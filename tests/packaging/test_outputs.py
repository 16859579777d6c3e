"""Archives and layouts: the same bytes each time, read back as they were, and never trusted."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from workbench.conformance.image_archive import read_image as conformance_reads
from workbench.errors import CorruptError, InputError, WorkbenchError
from workbench.packaging.image import reading
from workbench.packaging.image.config import image_of
from workbench.packaging.image.contents import members, paths_of
from workbench.packaging.image.outputs import (
    write_docker_archive,
    write_oci_archive,
    write_oci_layout,
)
from workbench.packaging.image.parts import Blob, Image, Layer
from workbench.packaging.image.reading import read_image
from workbench.packaging.image.tar_layer import File, Folder, write_layer

NAME = "localhost/thing:1"
WRITERS: dict[str, Callable[[Image, Path, str], None]] = {
    "docker-archive": write_docker_archive,
    "oci-layout": write_oci_layout,
    "oci-archive": write_oci_archive,
}


@pytest.fixture
def image(tmp_path: Path) -> Image:
    blobs = tmp_path / "made"
    below = write_layer("base", {"etc/passwd": File(b"root"), "tmp": Folder(0o1777)}, blobs)
    above = write_layer("server", {"opt/server.py": File(b"serve")}, blobs)
    return image_of("single", [below, above])


def content(path: Path) -> dict[str, bytes]:
    if path.is_file():
        return {"": path.read_bytes()}
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


@pytest.mark.parametrize("form", WRITERS)
def test_it_is_read_back_as_it_was_and_has_the_same_bytes_each_time(image, tmp_path, form):
    for place in ("here", "there"):
        WRITERS[form](image, tmp_path / place / "image", NAME)
    assert content(tmp_path / "here/image") == content(tmp_path / "there/image")
    back = read_image(tmp_path / "here/image", tmp_path / "read")
    assert back.digest() == image.digest()
    assert [layer.title for layer in back.layers] == ["base", "server"]
    assert back.layers[0].blob.path.parent == tmp_path / "read"
    assert [x.unpacked for x in back.layers] == [x.unpacked for x in image.layers]


def test_an_archive_names_the_image_and_its_layers(image, tmp_path):
    write_docker_archive(image, tmp_path / "i.tar", "thing")
    with tarfile.open(tmp_path / "i.tar") as tar:
        names = tar.getnames()
        entry = json.load(tar.extractfile("manifest.json") or io.BytesIO())[0]
        assert json.load(tar.extractfile("repositories") or io.BytesIO()).keys() == {"thing"}
    assert entry["RepoTags"] == ["thing:latest"]
    assert {entry["Config"], *entry["Layers"]} <= set(names)
    assert set(conformance_reads(tmp_path / "i.tar").files) == {"etc/passwd", "opt/server.py"}


def test_a_name_keeps_the_registry_that_was_given(image, tmp_path):
    for name in ("localhost:5000/a/b:2", "docker.io/library/thing:1", "me/thing:1"):
        write_docker_archive(image, tmp_path / "i.tar", name)
        with tarfile.open(tmp_path / "i.tar") as tar:
            entry = json.load(tar.extractfile("manifest.json") or io.BytesIO())[0]
        assert entry["RepoTags"] == [name]
    with pytest.raises(InputError):
        write_docker_archive(image, tmp_path / "i.tar", "No Name")


def test_a_layout_can_keep_dockers_media_types_and_so_the_digest(image, tmp_path):
    write_oci_layout(image, tmp_path / "l", NAME, "docker")
    (described,) = json.loads((tmp_path / "l/index.json").read_text())["manifests"]
    assert described["digest"] == image.digest("docker")
    assert described["annotations"] == {"org.opencontainers.image.ref.name": "1"}
    assert (tmp_path / "l/blobs/sha256" / image.digest().removeprefix("sha256:")).is_file()


def test_an_older_layout_is_replaced_and_nothing_else(image, tmp_path):
    write_oci_layout(image, tmp_path / "l", NAME)
    (tmp_path / "l/stale").touch()
    write_oci_layout(image, tmp_path / "l", NAME)
    assert not (tmp_path / "l/stale").exists()
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="is no OCI layout"):
        write_oci_layout(image, tmp_path / "other", NAME)


@pytest.mark.parametrize("form", WRITERS)
def test_what_fails_leaves_nothing(image, tmp_path, form):
    gone = replace(image.layers[1].blob, path=tmp_path / "absent")
    broken = Image(image.config, (image.layers[0], replace(image.layers[1], blob=gone)))
    (tmp_path / "out").mkdir()
    with pytest.raises(WorkbenchError):
        WRITERS[form](broken, tmp_path / "out/i", NAME)
    assert list((tmp_path / "out").iterdir()) == []


# --- reading what others wrote -----------------------------------------------------------------


def saved(
    path: Path, image: Image, change: Callable[[dict[str, Any]], None] = lambda _: None
) -> Path:
    """As ``docker save`` before 25 and podman write it: layers unpacked; ``change`` forges it."""
    layers = [gzip.decompress(layer.blob.path.read_bytes()) for layer in image.layers]
    parts: dict[str, Any] = {
        "manifest": [
            {
                "Config": f"{image.config_digest.removeprefix('sha256:')}.json",
                "Layers": [f"{n}/layer.tar" for n in range(len(layers))],
            }
        ],
        "config": image.config,
        "layers": layers,
    }
    change(parts)
    files = {
        "manifest.json": json.dumps(parts["manifest"]).encode(),
        parts["manifest"][0]["Config"]: parts["config"],
        **{f"{n}/layer.tar": layer for n, layer in enumerate(parts["layers"])},
    }
    with tarfile.open(path, "w") as tar:
        for name, value in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(value)
            tar.addfile(info, io.BytesIO(value))
    return path


def test_unpacked_layers_are_packed(image, tmp_path):
    back = read_image(saved(tmp_path / "i.tar", image), tmp_path / "read")
    assert back == Image(image.config, back.layers)
    assert back.digest() == image.digest()


@pytest.mark.parametrize(
    ("change", "error", "why"),
    [
        (lambda p: p["layers"].__setitem__(0, b"\0" * 1024), CorruptError, "configuration says"),
        (lambda p: p.update(config=p["config"] + b" "), CorruptError, "not what its name says"),
        (lambda p: p["layers"].__setitem__(0, b"\x28\xb5\x2f\xfd"), InputError, "zstd"),
        (
            lambda p: p["layers"].__setitem__(0, b"\x1f\x8b" + b"x" * 99),
            InputError,
            r"can be read",
        ),
        (lambda p: p["manifest"].append({}), InputError, "several images"),
        (lambda p: p["manifest"][0]["Layers"].pop(), InputError, "does not name its layers"),
        (lambda p: p["manifest"][0].update(Layers=["../../etc/passwd"] * 2), InputError, "passwd"),
        (lambda p: p["manifest"][0].pop("Layers"), InputError, "Layers"),
    ],
)
def test_a_forged_archive_is_refused(image, tmp_path, change, error, why):
    with pytest.raises(error, match=why):
        read_image(saved(tmp_path / "i.tar", image, change), tmp_path / "read")


def test_an_image_for_another_machine_is_refused(image, tmp_path):
    arm = json.dumps({**image.settings(), "architecture": "arm64"}).encode()
    path = tmp_path / "l"
    write_oci_layout(Image(arm, image.layers), path, NAME)
    with pytest.raises(InputError, match="linux arm64"):
        read_image(path, tmp_path / "read")
    index = json.loads((path / "index.json").read_text())
    index["manifests"][0]["platform"]["architecture"] = "arm64"
    (path / "index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="0 images for Linux on x86-64"):
        read_image(path, tmp_path / "read")


def test_a_damaged_or_missing_blob_of_a_layout_is_told(image, tmp_path):
    write_oci_layout(image, tmp_path / "l", NAME)
    for blob in (tmp_path / "l/blobs/sha256").iterdir():
        copy = tmp_path / "copy"
        shutil.copytree(tmp_path / "l", copy)
        other = copy / "blobs/sha256" / blob.name
        other.write_bytes(blob.read_bytes() + b"\0")
        with pytest.raises((CorruptError, InputError)):
            read_image(copy, tmp_path / "read")
        other.unlink()
        with pytest.raises(InputError):
            read_image(copy, tmp_path / "read")
        shutil.rmtree(copy)


def test_a_digest_that_is_a_path_is_refused(image, tmp_path):
    write_oci_layout(image, tmp_path / "l", NAME)
    index = json.loads((tmp_path / "l/index.json").read_text())
    index["manifests"][0]["digest"] = "sha256:../../../etc/passwd"
    (tmp_path / "l/index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="is no SHA-256"):
        read_image(tmp_path / "l", tmp_path / "read")


def test_a_layer_that_unpacks_to_too_much_is_refused(image, tmp_path, monkeypatch):
    write_docker_archive(image, tmp_path / "i.tar", NAME)
    monkeypatch.setattr(reading, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match="more than 1000 bytes"):
        read_image(tmp_path / "i.tar", tmp_path / "read")
    assert not [p for p in (tmp_path / "read").iterdir() if p.name.startswith(".")]


def test_what_is_no_image_is_refused(tmp_path):
    (tmp_path / "x.tar").write_bytes(b"no tar")
    for path in (tmp_path / "x.tar", tmp_path / "absent", tmp_path):
        with pytest.raises(InputError, match=r"no image|neither"):
            read_image(path, tmp_path / "read")


def test_later_layers_remove_what_lies_below(tmp_path):
    blobs = tmp_path / "b"
    layers = (
        write_layer("1", {"lib/a.so": File(b""), "d/x": File(b""), "e/f/g": File(b"")}, blobs),
        write_layer("2", {"d/.wh..wh..opq": File(b""), "d/y": File(b"")}, blobs),
        write_layer("3", {"e/.wh.f": File(b"")}, blobs),
    )
    assert paths_of(Image(b"{}", layers)) == {"usr/lib/a.so", "d/y"}


def test_a_layer_that_is_no_tar_is_corrupt(tmp_path):
    (tmp_path / "blob").write_bytes(gzip.compress(b"no tar" * 1000))
    layer = Layer("x", "", Blob("", 0, tmp_path / "blob"), 0)
    with pytest.raises(CorruptError, match="'x' cannot be read"):
        list(members(layer))


def test_a_header_without_end_is_not_read_into_memory(tmp_path):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 3 << 20
    bomb = info.tobuf(tarfile.GNU_FORMAT) + b"a" * info.size
    (tmp_path / "blob").write_bytes(gzip.compress(bomb))
    with pytest.raises(CorruptError, match="a header has more"):
        list(members(Layer("x", "", Blob("", 0, tmp_path / "blob"), 0)))
