"""The images, built once per digest of their context; needs buildah, podman and debootstrap."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

CONTEXT = Path(__file__).parents[2] / "serving_containers"
BASE = "docker.io/library/debian:bookworm-slim"
ENGINES = ("buildah", "podman", "runc", "debootstrap")
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def podman(*arguments: str, check: bool = True) -> str:
    """Standard output of ``podman`` with these arguments."""
    command = ["podman", "--runtime", "runc", *arguments]
    return subprocess.run(command, check=check, capture_output=True, text=True).stdout.strip()


def context_digest() -> str:
    """SHA-256 (16 digits) over the paths and contents of all that the images are built from."""
    digest = hashlib.sha256()
    parts = ("onnx_server/onnx_server", "single_model", "multi_model")
    files = [f for part in parts for f in (CONTEXT / part).rglob("*") if f.is_file()]
    for file in sorted([*files, CONTEXT / "onnx_server" / "requirements.lock"]):
        if "__pycache__" not in file.parts:
            digest.update(f"{file.relative_to(CONTEXT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


@pytest.fixture(scope="session")
def engines() -> None:
    """Skips without the engines; fails instead if WORKBENCH_REQUIRE_CONTAINERS is set."""
    absent = [name for name in ENGINES if shutil.which(name) is None]
    if os.geteuid() != 0:
        absent.append("root")
    if absent:
        reason = f"container tests need {', '.join(absent)}"
        if os.environ.get("WORKBENCH_REQUIRE_CONTAINERS"):
            pytest.fail(reason)
        pytest.skip(reason)


def _exists(image: str) -> bool:
    return bool(podman("images", "-q", image))


def _make_base(folder: Path) -> None:
    """The Debian base from its archive, under the name that the Dockerfile asks for."""
    root, archive = folder / "root", folder / "base.tar"
    subprocess.run(["debootstrap", "--variant=minbase", "bookworm", str(root)], check=True)
    subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True)
    podman("import", str(archive), BASE)


def _build(dockerfile: str, tag: str, *options: str) -> None:
    command = ["buildah", "bud", "--isolation", "chroot", "--format", "docker", *LIMITS, *options]
    subprocess.run([*command, "-f", str(CONTEXT / dockerfile), "-t", tag, str(CONTEXT)], check=True)
    _remove_older(tag)


def _remove_older(tag: str) -> None:
    """Images of earlier sources, each some 170 MB; one that still runs stays."""
    name = tag.rpartition(":")[0]
    for line in podman("images", "--format", "{{.Repository}}:{{.Tag}}", name).splitlines():
        if line != tag:
            podman("rmi", line, check=False)


def pip_mounts(folder: Path) -> tuple[str, ...]:
    """This machine's index and certificates, which stay outside the image: only mounted."""
    values = {"cert": "/run/build-ca.crt"}
    for name in ("index-url", "extra-index-url"):
        if value := os.environ.get(f"PIP_{name.replace('-', '_').upper()}"):
            values[name] = value
    settings = folder / "pip.conf"
    settings.write_text("[global]\n" + "".join(f"{k} = {v}\n" for k, v in values.items()))
    return "-v", f"{settings}:/etc/pip.conf:ro", "-v", f"{CERTIFICATES}:/run/build-ca.crt:ro"


@pytest.fixture(scope="session")
def single_image(engines: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Name of the single-model image of the present sources."""
    tag = f"localhost/onnx-server:{context_digest()}"
    if _exists(tag):
        return tag
    work = tmp_path_factory.mktemp("image")
    if not _exists(BASE):
        _make_base(work)
    _build("single_model/Dockerfile", tag, *pip_mounts(work))
    return tag


@pytest.fixture(scope="session")
def multi_image(single_image: str) -> str:
    """Name of the multi-model image of the present sources."""
    tag = single_image.replace("onnx-server:", "onnx-server-multi:")
    if not _exists(tag):
        _build("multi_model/Dockerfile", tag, "--build-arg", f"SINGLE={single_image}")
    return tag
