"""Chapter 1 of the contract: the image (C1–C7)."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from workbench.conformance.clause import Findings, Note, NotTestedError, Untested, Wrong, clause
from workbench.conformance.subject import Image, Subject

SERVERLESS_BYTES = 10 * 10**9
CAPABILITIES = "com.amazonaws.sagemaker.capabilities."
SHELLS = ("sh", "bash", "ash", "dash")
DRIVERS = re.compile(r"(^|/)(libcuda\.so|libnvidia-ml\.so|libnvcuvid\.so|nvidia\.ko)[^/]*$")
OCI, DOCKER = "application/vnd.oci.", "application/vnd.docker."


def image_of(subject: Subject) -> Image:
    """The image; the clauses that call it need one."""
    assert subject.image is not None
    return subject.image


@clause("C1", "The image is a Docker schema 2 manifest of one platform", needs=("image",))
def manifest_media_type(subject: Subject) -> Findings:
    """OCI manifests, indexes of several platforms and zstd layers are refused on creation."""
    image = image_of(subject)
    oci = [kind for kind in image.media_types if kind.startswith(OCI)]
    if oci:
        yield Wrong(
            f"The image is OCI ({oci[0]}): the platform refuses it. Build it with "
            "--provenance=false --output type=docker, or buildah/podman --format docker."
        )
    if image.manifests != 1:
        yield Wrong(f"The archive holds {image.manifests} images; the platform takes exactly one.")
    if any(kind.endswith("zstd") for kind in image.media_types):
        yield Wrong("Layers are packed with zstd; the platform takes gzip.")
    if not any(kind.startswith((OCI, DOCKER)) for kind in image.media_types):
        yield Note("A docker-archive states no media type: what is pushed, the pushing tool says.")


@clause(
    "C2", "`docker run IMAGE serve` reaches the server; ENTRYPOINT in exec form", needs=("image",)
)
def entry_point(subject: Subject) -> Findings:
    """A shell form never sees the word ``serve`` nor any signal."""
    image = image_of(subject)
    words = image.entrypoint
    if not words:
        if not any(PurePosixPath(p).name == "serve" and m & 0o111 for p, m in image.files.items()):
            yield Wrong("There is no ENTRYPOINT, and no program 'serve' that could be run instead.")
    elif PurePosixPath(words[0]).name in SHELLS and "-c" in words[1:2]:
        yield Wrong(f"ENTRYPOINT is in shell form ({' '.join(words)}): no signal reaches it.")


@clause("C3", "No USER; files readable by any user", needs=("image",))
def user(subject: Subject) -> Findings:
    """The platform expects root, serverless runs the same image without write permission."""
    image = image_of(subject)
    name = str(image.config.get("User") or "")
    if name.partition(":")[0] not in ("", "0", "root"):
        yield Wrong(f"USER is '{name}'; the platform expects root.")
    closed = [p for p, mode in image.files.items() if p.startswith("opt/") and not mode & 0o004]
    if closed:
        yield Wrong(f"{len(closed)} files under /opt are not readable by all, such as {closed[0]}.")


@clause("C4", "No tini as entry point, no NVIDIA drivers in the image", needs=("image",))
def no_tini_no_drivers(subject: Subject) -> Findings:
    """``tini`` takes ``serve`` for its own; drivers come from the host."""
    image = image_of(subject)
    if any(PurePosixPath(word).name.startswith("tini") for word in image.entrypoint):
        yield Wrong("tini is in the ENTRYPOINT.")
    drivers = [p for p in image.files if DRIVERS.search(p) and "/stubs/" not in p]
    if drivers:
        yield Wrong(f"NVIDIA driver files are in the image, such as {drivers[0]}.")


@clause("C5", "The labels of the capabilities that the image has", needs=("image",))
def labels(subject: Subject) -> Findings:
    """multi-models in multi-model mode; without accept-bind-to-port no pipeline takes the image."""
    found = image_of(subject).labels
    known = ("multi-models", "accept-bind-to-port", "bidirectional-streaming")
    for name in known:
        value = found.get(CAPABILITIES + name)
        if value not in (None, "true", "false"):
            yield Wrong(f"The label {CAPABILITIES}{name} is '{value}'; it must be 'true'.")
    if subject.mode == "multi" and found.get(CAPABILITIES + "multi-models") != "true":
        yield Wrong(f"The label {CAPABILITIES}multi-models=true is missing.")
    if subject.mode == "unknown":
        yield Untested("the label multi-models, as --mode is not given")
    if found.get(CAPABILITIES + "accept-bind-to-port") != "true":
        yield Note("Without the label accept-bind-to-port no pipeline takes the image.")


@clause("C6", "The image fits serverless: at most 10 GB", needs=("image",))
def size(subject: Subject) -> Findings:
    """The size of the unpacked layers."""
    size_bytes = image_of(subject).size_bytes
    if size_bytes > SERVERLESS_BYTES:
        yield Wrong(f"The image has {size_bytes / 1e9:.1f} GB unpacked; serverless takes 10 GB.")
    else:
        yield Note(f"{size_bytes / 1e6:.1f} MB unpacked.")


@clause("C7", "The image is named by tag or by digest")
def reference(_: Subject) -> Findings:
    """That is said on CreateModel."""
    raise NotTestedError("the name is given to the platform; nothing of it is in the image")
