"""Pushing to Debian's registry and pulling from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.packaging.registry.cutting_proxy import CuttingProxy
from tests.packaging.registry.registries import (
    BIG,
    PASSWORD,
    USER,
    Told,
    debian_registry,
    make_image,
)
from workbench.errors import InputError, MissingError
from workbench.packaging.image.parts import Form, Image, canonical
from workbench.packaging.image.registry import Credentials, pull, push, uploads

FORMS: tuple[Form, ...] = ("docker", "oci")


@pytest.mark.parametrize("form", FORMS)
def test_what_is_pushed_comes_back_the_same(
    debian: str, image: Image, form: Form, tmp_path: Path
) -> None:
    told = Told()
    where = f"{debian}/team/{form}:1"
    digest = push(image, where, form=form, progress=told)
    assert digest == image.digest(form)
    assert told.advances[-1][0] == told.advances[-1][1] > 200_000
    assert "0 of 3 blobs were there" in told.details[0]
    for reference in (where, f"{debian}/team/{form}@{digest}"):
        blobs = tmp_path / "pulled"
        pulled = pull(reference, blobs)
        assert pulled.digest(form) == digest
        assert [layer.title for layer in pulled.layers] == ["part 0", "part 1"]
        assert [layer.unpacked for layer in pulled.layers] == [1000, 200_000]
        for layer, own in zip(pulled.layers, image.layers, strict=True):
            assert layer.blob.path.read_bytes() == own.blob.path.read_bytes()
            assert layer.diff_id == own.diff_id
        assert len(list(blobs.iterdir())) == 2


def test_a_second_push_sends_no_blobs(debian: str, image: Image) -> None:
    told = Told()
    for tag in ("1", "2"):
        push(image, f"{debian}/again:{tag}", progress=told)
    assert told.details[1] == "0.0 MB sent, 3 of 3 blobs were there"


def test_a_changed_layer_is_all_that_is_sent(debian: str, image: Image, tmp_path: Path) -> None:
    push(image, f"{debian}/change:1")
    other = make_image(tmp_path / "other", 500, seed=7)
    settings = image.settings()
    settings["rootfs"]["diff_ids"].append(other.layers[0].diff_id)
    settings["history"].append({"created_by": "more"})
    changed = Image(canonical(settings), (*image.layers, other.layers[0]))
    told = Told()
    push(changed, f"{debian}/change:2", progress=told)
    assert "2 of 4 blobs were there" in told.details[0]


def test_a_layer_twice_is_sent_and_fetched_once(debian: str, tmp_path: Path) -> None:
    made = make_image(tmp_path / "made", 100_000)
    settings = made.settings()
    settings["rootfs"]["diff_ids"] *= 2
    settings["history"] *= 2
    twice = Image(canonical(settings), made.layers * 2)
    told = Told()
    assert push(twice, f"{debian}/twice:1", progress=told) == twice.digest()
    assert "0 of 2 blobs" in told.details[0]
    assert pull(f"{debian}/twice:1", tmp_path / "pulled").digest() == twice.digest()


def test_debians_registry_gets_a_cut_layer_anew(debian: str, tmp_path: Path) -> None:
    made = make_image(tmp_path / "made", BIG)
    with CuttingProxy(debian, [3_000_000, 6_000_000]) as proxy:
        digest = push(made, f"{proxy.host}/cut:1")
        assert proxy.cuts == []
    assert pull(f"{debian}/cut@{digest}", tmp_path / "pulled").digest() == digest


def test_a_large_layer_goes_in_one_piece_and_in_many(
    debian: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_image(tmp_path / "made", BIG)
    assert push(made, f"{debian}/one:1") == made.digest()
    original = uploads.Upload.__init__

    def in_pieces(self: uploads.Upload, *arguments: Any) -> None:
        original(self, *arguments)
        self._chunk = min(self._chunk, 2_000_000)

    monkeypatch.setattr(uploads.Upload, "__init__", in_pieces)
    assert push(made, f"{debian}/many:1") == made.digest()
    assert pull(f"{debian}/many:1", tmp_path / "pulled").digest() == made.digest()


def test_a_password_is_asked_for_and_given(image: Image, tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    folder.mkdir()
    with debian_registry(folder, password=True) as host:
        where = f"{host}/app:1"
        with pytest.raises(MissingError, match="none were found") as missing:
            push(image, where)
        assert "WORKBENCH_REGISTRY_USER" in str(missing.value)
        assert "config.json" in str(missing.value)
        with pytest.raises(InputError, match="refuses tester") as refused:
            push(image, where, credentials=Credentials(USER, "wrong"))
        assert "wrong" not in str(refused.value)
        push(image, where, credentials=Credentials(USER, PASSWORD))
        with pytest.raises(MissingError):
            pull(where, tmp_path / "pulled")
        pulled = pull(where, tmp_path / "pulled", credentials=Credentials(USER, PASSWORD))
        assert pulled.digest() == image.digest()


def test_what_is_not_there_is_said(debian: str, image: Image, tmp_path: Path) -> None:
    push(image, f"{debian}/there:1")
    with pytest.raises(InputError, match=r"no image .*there:2"):
        pull(f"{debian}/there:2", tmp_path)
    with pytest.raises(InputError, match="no image"):
        pull(f"{debian}/nowhere:1", tmp_path)
