"""Building from tiny packages: which layers, what is made again, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.packaging.makers import link, make_elf, write_deb, write_wheel
from tests.serving.conftest import make_artifact
from workbench.errors import InputError, StepError
from workbench.packaging.image import build
from workbench.packaging.image.base import MANYLINUX
from workbench.packaging.image.build import build_serving_image
from workbench.packaging.image.config import image_of
from workbench.packaging.image.contents import members, paths_of
from workbench.packaging.image.debian import DebianLock, LockedDeb
from workbench.packaging.image.layer_cache import LayerCache
from workbench.packaging.image.parts import Image
from workbench.packaging.image.places import LOADER, MULTIARCH, PYTHON, SITE, STDLIB
from workbench.packaging.image.tar_layer import File, write_layer
from workbench.packaging.image.wheels import Wheel
from workbench.progress import Progress, Work

LIBRARIES = [name for name in MANYLINUX if name != "libc.so.6"]
DEBIAN = [
    (f"./{PYTHON}", make_elf(["libz.so.1", "libc.so.6"])),
    (f"./{STDLIB}/os.py", b"import sys\n"),
    (f"./{STDLIB}/test/test_os.py", b""),
    ("./usr/lib/os-release", b"ID=debian\n"),
    ("./usr/share/ca-certificates/mozilla/A.crt", b"-----A-----\n\n"),
    ("./usr/share/doc/thing/copyright", b"free"),
    ("./usr/share/doc/thing/changelog.gz", b""),
    (f"./{LOADER}".replace("usr/", ""), make_elf()),
    (f"./{MULTIARCH}/libz.so.1.2", make_elf(["libc.so.6"])),
    link(f"./{MULTIARCH}/libz.so.1", "libz.so.1.2"),
    (f"./lib/{MULTIARCH.rpartition('/')[2]}/libc.so.6", make_elf(["ld-linux-x86-64.so.2"])),
    *((f"./{MULTIARCH}/{name}", make_elf(["libc.so.6"])) for name in LIBRARIES),
    (f"./{MULTIARCH}/libunused.so.1", make_elf(["libc.so.6"])),
]
WHEEL = {
    "thing/__init__.py": b"x = 1\n",
    "thing/_c.so": make_elf(["libz.so.1", "libj.so"], "$ORIGIN/../thing.libs"),
    "thing.libs/libj.so": make_elf(["libc.so.6"]),
}


class Told(Progress):
    def __init__(self) -> None:
        self.planned: list[str] = []
        self.done: dict[str, bool] = {}

    def plan(self, works: list[Work]) -> None:
        self.planned = [work.label for work in works]

    def finish(self, label: str, seconds: float, *, reused: bool, detail: str = "") -> None:
        self.done[label] = reused


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything that is fetched is tiny; returns the cache."""
    supply(tmp_path, monkeypatch, DEBIAN, WHEEL)
    return tmp_path / "cache"


def supply(tmp: Path, monkeypatch: pytest.MonkeyPatch, debian: list, wheel: Mapping) -> None:
    deb = write_deb(tmp / "t.deb", debian)
    locked = LockedDeb(
        name="thing", version="1", architecture="amd64", archive="debian", filename="pool/t.deb",
        size=1, sha256=hashlib.sha256(deb.read_bytes()).hexdigest(),
    )  # fmt: skip
    made = Wheel("thing", "1", write_wheel(tmp / "t.whl", wheel), tmp / "t.whl")
    monkeypatch.setattr(build, "read_lock", lambda _: DebianLock(release="x", packages=(locked,)))
    monkeypatch.setattr(build, "fetch_deb", lambda *_: (deb, ""))
    monkeypatch.setattr(build, "fetch_wheels", lambda *_: ([made], 0))


def contents(image: Image) -> dict[str, bytes]:
    return {
        path: content.read()
        for layer in image.layers
        for path, _, content in members(layer)
        if content is not None
    }


def test_the_layers_hold_what_is_needed_and_no_more(tiny):
    image = build_serving_image("single", cache=tiny, bytecode=False)
    assert [layer.title for layer in image.layers] == ["base", "wheels", "server"]
    found = contents(image)
    assert found["etc/ssl/certs/ca-certificates.crt"] == b"-----A-----\n"
    assert found["var/lib/dpkg/status.d/thing"].startswith(b"Package: thing")
    assert found["usr/share/doc/thing/copyright"] == b"free"
    assert found[f"{MULTIARCH}/libz.so.1"] == make_elf(["libc.so.6"])  # no link to another name
    assert {f"{STDLIB}/os.py", f"{SITE}/thing/__init__.py", f"{SITE}/onnx_server/cli.py"} <= set(
        found
    )
    assert not [path for path in found if "test_os" in path or "changelog" in path]
    assert f"{MULTIARCH}/libunused.so.1" not in found
    assert {"bin", "lib64"} < {path for x in image.layers for path, m, _ in members(x) if m.issym()}


def test_the_same_in_another_folder_is_the_same(tiny, tmp_path):
    one, two = (
        build_serving_image("single", cache=folder, bytecode=False)
        for folder in (tiny, tmp_path / "other")
    )
    assert one.digest() == two.digest()


def test_only_what_changed_is_made_again(tiny, tmp_path, monkeypatch):
    models = [("plus", make_artifact(tmp_path / "plus", 1.0).path)]
    first = build_serving_image("single", models=models, cache=tiny, bytecode=False)
    told = Told()
    build_serving_image("single", models=models, cache=tiny, bytecode=False, progress=told)
    assert set(told.planned) == set(told.done)
    assert all(told.done.values())
    supply(tmp_path, monkeypatch, DEBIAN, {**WHEEL, "thing/more.py": b""})
    second = build_serving_image("single", models=models, cache=tiny, bytecode=False, progress=told)
    assert [name for name, reused in told.done.items() if not reused] == ["wheels"]
    same = [a.diff_id == b.diff_id for a, b in zip(first.layers, second.layers, strict=True)]
    assert same == [True, False, True, True]


def test_models_lie_where_the_server_looks(tiny, tmp_path):
    models = [(f"plus-{n}", make_artifact(tmp_path / f"plus-{n}", n).path) for n in (1.0, 2.0)]
    single = paths_of(build_serving_image("single", models=models[:1], cache=tiny, bytecode=False))
    assert "opt/ml/model/manifest.json" in single
    multi = build_serving_image("multi", models=models, cache=tiny, bytecode=False)
    assert {f"opt/ml/models/{name}/model/manifest.json" for name, _ in models} < paths_of(multi)
    assert [layer.title for layer in multi.layers[3:]] == ["model plus-1.0", "model plus-2.0"]
    assert "SAGEMAKER_MULTI_MODEL=true" in multi.settings()["config"]["Env"]


def test_a_base_takes_the_place_of_debians_packages(tiny, tmp_path):
    whole = build_serving_image("single", cache=tiny, bytecode=False)
    base = Image(image_of("single", whole.layers[:1]).config, whole.layers[:1])
    built = build_serving_image("single", cache=tiny, base=base, bytecode=False)
    assert [x.diff_id for x in built.layers] == [x.diff_id for x in whole.layers]
    layer = write_layer("x", {"usr/local/bin/python3.11": File(b"")}, tmp_path / "b")
    other = image_of("single", [layer])
    with pytest.raises(InputError, match=r"has no /usr/bin/python3\.11"):
        build_serving_image("single", cache=tiny, base=other, bytecode=False)
    layer = write_layer("x", {PYTHON: File(b"")}, tmp_path / "b")
    with pytest.raises(StepError, match=r"libz\.so\.1 .*are|libc\.so\.6"):
        build_serving_image("single", cache=tiny, base=image_of("single", [layer]), bytecode=False)


def test_a_missing_library_is_told(tiny, tmp_path, monkeypatch):
    supply(tmp_path, monkeypatch, DEBIAN, {"thing/_c.so": make_elf(["libcuda.so.1"])})
    with pytest.raises(StepError, match=r"libcuda\.so\.1 \(for .*thing/_c\.so\)"):
        build_serving_image("single", cache=tiny, bytecode=False)


@pytest.mark.parametrize("left_out", [PYTHON, "os-release", "A.crt", "ld-linux", "libstdc++"])
def test_a_base_without_what_is_needed_is_told(tiny, tmp_path, monkeypatch, left_out):
    debian = [m for m in DEBIAN if not isinstance(m, tuple) or left_out not in m[0]]
    supply(tmp_path, monkeypatch, debian, WHEEL)
    with pytest.raises(StepError):
        build_serving_image("single", cache=tiny, bytecode=False)


def test_models_that_do_not_fit_are_refused(tiny, tmp_path):
    path = make_artifact(tmp_path / "plus", 1.0).path
    cases = [
        ("single", [("a", path), ("b", path)], "cannot hold 2"),
        ("multi", [("a", path), ("a", path)], "stands twice"),
        ("multi", [("../a", path)], "cannot be a model's name"),
        ("single", [("a", tmp_path)], "is no artifact"),
    ]
    for kind, models, why in cases:
        with pytest.raises(InputError, match=why):
            build_serving_image(kind, models=models, cache=tiny, bytecode=False)
    assert not tiny.exists()


def test_a_damaged_layer_in_the_cache_is_made_again(tmp_path):
    cache = LayerCache(tmp_path)
    made = []

    def make() -> dict[str, File]:
        made.append(1)
        return {"a": File(b"1")}

    layer, _, reused = cache.layer("x", [1], make)
    assert not reused
    assert cache.layer("x", [1], make)[2]
    layer.blob.path.write_bytes(b"damaged")
    again, _, reused = cache.layer("x", [1], make)
    assert not reused
    assert again == layer
    (note,) = (tmp_path / "layers").iterdir()
    note.write_text(json.dumps({"title": "x"}))
    assert not cache.layer("x", [1], make)[2]
    assert len(made) == 3


def test_layers_that_are_no_longer_asked_for_are_removed(tmp_path):
    cache = LayerCache(tmp_path)
    old, new = (cache.layer("x", n, lambda n=n: {"a": File(bytes([n]))})[0] for n in (1, 2))
    cache.tidy()
    assert old.blob.path.exists()
    for path in (*(tmp_path / "layers").iterdir(), *(tmp_path / "blobs").iterdir()):
        os.utime(path, (0, 0))
    assert cache.layer("x", 2, dict)[2]
    cache.tidy()
    assert not old.blob.path.exists()
    assert new.blob.path.exists()
    assert len(list((tmp_path / "layers").iterdir())) == 1
