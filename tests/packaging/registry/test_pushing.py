"""Pushing to a registry that fails on demand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.packaging.registry.fake_registry import FakeRegistry, Fault
from tests.packaging.registry.registries import BIG, Told, make_image
from workbench.errors import CorruptError, InputError, StepError
from workbench.packaging.image.parts import Image
from workbench.packaging.image.registry import patience, pull, push, uploads


def test_the_fake_registry_does_as_debians(
    fake: FakeRegistry, image: Image, tmp_path: Path
) -> None:
    digest = push(image, f"{fake.host}/app:1")
    assert pull(f"{fake.host}/app:1", tmp_path / "pulled").digest() == digest
    assert all(not asked.authorization for asked in fake.asked)


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT"])
@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_busy_registry_is_asked_again(
    fake: FakeRegistry, image: Image, method: str, status: int, waits: list[float]
) -> None:
    fake.faults = [Fault(method, "", status=status, times=2)]
    assert push(image, f"{fake.host}/app:1") == image.digest()
    assert len(waits) == 2
    assert waits[0] < waits[1] < 2


def test_a_large_layer_meets_a_busy_registry(
    fake: FakeRegistry, tmp_path: Path, waits: list[float]
) -> None:
    made = make_image(tmp_path / "made", BIG)
    fake.faults = [Fault("PATCH", "", status=503), Fault("GET", "uploads", status=503)]
    assert push(made, f"{fake.host}/app:1") == made.digest()
    assert len(waits) == 2


def test_retry_after_is_kept_to(fake: FakeRegistry, image: Image, waits: list[float]) -> None:
    fake.faults = [Fault("POST", "", status=429, headers={"Retry-After": "7"})]
    push(image, f"{fake.host}/app:1")
    assert waits == [7.0]


def test_a_long_retry_after_is_an_error(fake: FakeRegistry, image: Image) -> None:
    body = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}'
    fake.faults = [Fault("POST", "", status=429, headers={"Retry-After": "3600"}, body=body)]
    with pytest.raises(StepError, match="TOOMANYREQUESTS: slow down") as caught:
        push(image, f"{fake.host}/app:1")
    assert "Wait a while" in str(caught.value)


def test_a_registry_that_stays_broken_is_given_up(
    fake: FakeRegistry, image: Image, waits: list[float]
) -> None:
    fake.faults = [Fault("POST", "", status=500, body=b"\x1b[31mboom\n", times=99)]
    with pytest.raises(StepError, match=r"500 .*\[31mboom") as caught:
        push(image, f"{fake.host}/app:1")
    assert "\x1b" not in str(caught.value)
    assert len(waits) == patience.TRIES - 1


def test_a_cut_upload_goes_on_where_it_stopped(fake: FakeRegistry, tmp_path: Path) -> None:
    made = make_image(tmp_path / "made", BIG)
    size = made.layers[0].blob.size
    fake.faults = [Fault("PATCH", "", cut_after=4_000_000), Fault("PATCH", "", cut_after=1_000_000)]
    assert push(made, f"{fake.host}/app:1") == made.digest()
    sent = [asked for asked in fake.asked if asked.method == "PATCH"]
    assert [len(asked.body) for asked in sent] == [4_000_000, 1_000_000, size - 5_000_000]
    assert sent[2].headers["content-range"] == f"5000000-{size - 1}"
    assert fake.count("POST") == 2  # the layer and the configuration


def test_a_line_that_breaks_often_is_borne_as_long_as_it_gets_on(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    made = make_image(tmp_path / "made", BIG)
    breaks = 2 * patience.TRIES
    fake.faults = [Fault("PATCH", "", cut_after=500_000, times=breaks)]
    assert push(made, f"{fake.host}/app:1") == made.digest()
    assert fake.count("PATCH") == breaks + 1


def test_another_digest_for_a_layer_is_an_error(fake: FakeRegistry, image: Image) -> None:
    headers = {"Docker-Content-Digest": "sha256:" + "0" * 64}
    fake.faults = [Fault("PUT", "uploads", status=201, headers=headers)]
    with pytest.raises(CorruptError, match="stored the layer 'part 0' as sha256:000"):
        push(image, f"{fake.host}/app:1")


def test_progress_never_passes_its_end(fake: FakeRegistry, tmp_path: Path) -> None:
    made, told = make_image(tmp_path / "made", BIG, 5000), Told()
    fake.faults = [Fault("PATCH", "", cut_after=4_000_000)]
    push(made, f"{fake.host}/app:1", progress=told)
    total = made.compressed + len(made.config)
    assert {total_told for _, total_told in told.advances} == {total}
    assert max(done for done, _ in told.advances) == told.advances[-1][0] == total


def test_a_connection_that_always_breaks_is_given_up(
    fake: FakeRegistry, tmp_path: Path, waits: list[float]
) -> None:
    made = make_image(tmp_path / "made", BIG)
    fake.faults = [Fault("PATCH", "", cut_after=0, times=99)]
    with pytest.raises(StepError, match="broke 6 times") as caught:
        push(made, f"{fake.host}/app:1")
    assert "Run the command again" in str(caught.value)
    assert len(waits) == patience.TRIES - 1


def test_a_lost_upload_begins_anew(fake: FakeRegistry, tmp_path: Path) -> None:
    made = make_image(tmp_path / "made", BIG)
    fake.faults = [
        Fault("PATCH", "", cut_after=4_000_000),
        Fault("GET", "uploads", status=404, body=b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}'),
    ]
    assert push(made, f"{fake.host}/app:1") == made.digest()
    assert [len(a.body) for a in fake.asked if a.method == "PATCH"][1] > BIG


def test_a_range_that_lags_behind_is_asked_for_again(fake: FakeRegistry, tmp_path: Path) -> None:
    """As ECR's does."""
    made = make_image(tmp_path / "made", BIG)
    fake.faults = [
        Fault("PATCH", "", cut_after=4_000_000),
        Fault("GET", "uploads", status=204, headers={"Range": "0-999"}),
    ]
    assert push(made, f"{fake.host}/app:1") == made.digest()
    starts = [
        a.headers.get("content-range", "0-").partition("-")[0]
        for a in fake.asked
        if a.method == "PATCH"
    ]
    assert starts == ["0", "1000", "4000000"]


def test_a_registry_that_misread_gets_the_blob_anew(fake: FakeRegistry, image: Image) -> None:
    body = b'{"errors":[{"code":"DIGEST_INVALID","message":"digest invalid"}]}'
    fake.faults = [Fault("PUT", "uploads", status=400, body=body)]
    assert push(image, f"{fake.host}/app:1") == image.digest()
    fake.blobs.clear()
    fake.faults = [Fault("PUT", "uploads", status=400, body=body, times=99)]
    with pytest.raises(StepError, match="does not take the layer 'part 0'"):
        push(image, f"{fake.host}/app:1")


def test_an_upload_whose_last_answer_was_lost_is_not_sent_again(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    made = make_image(tmp_path / "made", BIG)
    fake.faults = [Fault("PUT", "uploads", lose_answer=True)]
    push(made, f"{fake.host}/app:1")
    assert fake.count("PATCH") == 1


def test_a_body_that_is_too_large_goes_in_chunks(fake: FakeRegistry, tmp_path: Path) -> None:
    made = make_image(tmp_path / "made", 40_000_000)
    fake.largest_body = 2_000_000
    assert push(made, f"{fake.host}/app:1") == made.digest()
    sent = [asked for asked in fake.asked if asked.method == "PATCH" and asked.body]
    assert {len(asked.body) for asked in sent[:-1]} == {uploads.LEAST_CHUNK}
    assert sent[1].headers["content-range"] == "1048576-2097151"


def test_a_registry_that_takes_nothing_says_so(fake: FakeRegistry, image: Image) -> None:
    fake.largest_body = 10
    with pytest.raises(StepError, match="too large") as caught:
        push(image, f"{fake.host}/app:1")
    assert "Make space" in str(caught.value)


def test_another_digest_for_the_image_is_an_error(fake: FakeRegistry, image: Image) -> None:
    fake.manifest_digest = "sha256:" + "0" * 64
    with pytest.raises(CorruptError, match="stored the image as sha256:000"):
        push(image, f"{fake.host}/app:1")


def test_a_registry_that_does_not_say_the_digest_is_asked(fake: FakeRegistry, image: Image) -> None:
    fake.faults = [Fault("HEAD", "manifests", status=404), Fault("PUT", "manifests", status=201)]
    fake.manifests["1"] = ("x", image.manifest())
    assert push(image, f"{fake.host}/app:1") == image.digest()
    fake.faults = [Fault("HEAD", "manifests", status=404), Fault("PUT", "manifests", status=201)]
    fake.manifests["1"] = ("x", image.manifest("oci"))
    with pytest.raises(CorruptError):
        push(image, f"{fake.host}/app:1")


def test_a_tag_that_has_the_image_already_is_let_alone(fake: FakeRegistry, image: Image) -> None:
    body = b'{"errors":[{"code":"TAG_INVALID","message":"the repository is immutable"}]}'
    push(image, f"{fake.host}/app:1")
    fake.faults = [Fault("PUT", "manifests", status=400, body=body)]
    assert push(image, f"{fake.host}/app:1") == image.digest()
    with pytest.raises(InputError, match="a tag that is not there yet"):
        push(image, f"{fake.host}/app:1", form="oci")


def test_a_blob_that_changed_is_not_pushed(fake: FakeRegistry, image: Image) -> None:
    path = image.layers[1].blob.path
    content = bytearray(path.read_bytes())
    content[50] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptError, match="'part 1' is not sha256:"):
        push(image, f"{fake.host}/app:1")
    path.write_bytes(content[:100])
    with pytest.raises(CorruptError, match="is shorter than it was"):
        push(image, f"{fake.host}/app:1")
    path.unlink()
    with pytest.raises(CorruptError, match="cannot be read"):
        push(image, f"{fake.host}/app:1")
    assert not fake.manifests


def test_a_digest_that_is_not_the_images_is_refused(fake: FakeRegistry, image: Image) -> None:
    with pytest.raises(InputError, match="Push it to a tag"):
        push(image, f"{fake.host}/app@sha256:{'0' * 64}")
    assert push(image, f"{fake.host}/app@{image.digest()}") == image.digest()
    assert image.digest() in fake.manifests


@pytest.mark.parametrize(
    ("status", "code", "kind", "mend"),
    [
        (403, "DENIED", InputError, "Ask for the right"),
        (404, "NAME_UNKNOWN", InputError, "no repository"),
        (400, "NAME_INVALID", InputError, "no name it takes"),
        (413, "DENIED", InputError, "Ask for the right"),
        (400, "TAG_INVALID", InputError, "a tag that is not there yet"),
        (418, "TEAPOT", StepError, "fails to push a layer: 418 TEAPOT"),
    ],
)
def test_refusals_say_what_to_do(
    fake: FakeRegistry, image: Image, status: int, code: str, kind: type[Exception], mend: str
) -> None:
    body = json.dumps({"errors": [{"code": code, "message": "the reason"}]}).encode()
    fake.faults = [Fault("POST", "", status=status, body=body)]
    with pytest.raises(kind) as caught:
        push(image, f"{fake.host}/app:1")
    assert mend in str(caught.value)
    assert "the reason" in str(caught.value)


def test_a_form_that_is_not_taken_has_another(fake: FakeRegistry, image: Image) -> None:
    body = b'{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid"}]}'
    fake.faults = [Fault("PUT", "manifests", status=400, body=body)]
    with pytest.raises(StepError, match="push as 'docker' or as 'oci'"):
        push(image, f"{fake.host}/app:1")
