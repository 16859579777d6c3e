"""The suite itself: a correct server fails nothing, a wrong one exactly the clauses it breaks."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile

import pytest

from tests.conformance.multi_stub import MultiHandler
from tests.conformance.stub import serving
from tests.server.models import write_linear
from workbench.conformance import Image, ModelFolder, Subject, check, failed
from workbench.conformance.image_archive import read_image
from workbench.conformance.launchers import ProcessLauncher
from workbench.conformance.samples import samples_from_manifest
from workbench.conformance.targets import Options, open_target
from workbench.errors import InputError, MissingError

EVERY = [f"C{number}" for number in range(1, 31)]
CAPABILITIES = "com.amazonaws.sagemaker.capabilities."


def failures(subject: Subject, *only: str) -> set[str]:
    return {r.clause for r in check(subject, only) if r.outcome == "fail"}


def test_a_correct_server_fails_no_clause_and_each_clause_has_a_result():
    with serving() as url:
        results = check(Subject(url=url))
    assert [result.clause for result in results] == EVERY
    assert not failed(results), [r for r in results if r.outcome == "fail"]
    passed = {r.clause for r in results if r.outcome == "pass"}
    assert passed >= {"C11", "C12", "C13", "C14", "C15", "C16", "C18", "C19", "C20", "C21", "C29"}


@pytest.mark.parametrize(
    ("fault", "broken"),
    [
        ("ping has a body", {"C11"}),
        ("ping waits for inference", {"C12"}),
        ("no POST on ping", {"C13"}),
        ("attributes are lost", {"C15"}),
        ("all errors are 500", {"C16", "C19"}),
        ("shows tracebacks", {"C16", "C19"}),
        ("6 MB", {"C18"}),
        ("accepts all", {"C19"}),
        ("unpickles", {"C19"}),
        ("too large transforms", {"C20"}),
        ("records out of order", {"C21"}),
        ("one record is lost", {"C21"}),
        ("metrics are a page", {"C29"}),
    ],
)
def test_a_wrong_server_fails_exactly_the_clauses_it_breaks(fault, broken):
    with serving(fault) as url:
        assert failures(Subject(url=url, mode="single")) == broken


def test_nothing_listening_is_an_input_error():
    with serving() as url:
        pass
    with pytest.raises(InputError, match="Nothing listens"):
        check(Subject(url=url))


def test_an_unknown_clause_is_an_input_error():
    with pytest.raises(InputError, match="C31"):
        check(Subject(), ["C31"])


# --- many models ---------------------------------------------------------------------------------

TWO = tuple(ModelFolder(name, f"/opt/ml/models/{name}/model") for name in ("m1", "m2"))
FOUR = tuple(ModelFolder(name, f"/opt/ml/models/{name}/model") for name in ("m1", "m2", "m3", "m4"))


def test_a_correct_server_of_many_models_fails_no_clause():
    with serving(handler=MultiHandler) as url:
        results = check(Subject(url=url, models=FOUR))
    assert not failed(results), [r for r in results if r.outcome == "fail"]
    passed = {r.clause: r.detail for r in results if r.outcome == "pass"}
    assert passed.keys() >= {"C9", "C12", "C16", "C19", "C21", "C22", "C23", "C24"}
    assert "507 after 3 models" in passed["C22"]


@pytest.mark.parametrize(
    ("fault", "models", "broken"),
    [
        ("ping fails when empty", TWO, "C12"),
        ("leaves its folder", TWO, "C9"),
        ("loads twice", TWO, "C22"),
        ("one model is a list", TWO, "C22"),
        ("evicts", FOUR, "C22"),
        ("no second page", TWO, "C24"),
        ("keeps models", TWO, "C22"),
    ],
)
def test_a_wrong_server_of_many_models_fails_the_clause_it_breaks(fault, models, broken):
    with serving(fault, handler=MultiHandler) as url:
        subject = Subject(url=url, mode="multi", models=models)
        assert failures(subject, broken) == {broken}


# --- servers that can be started and ended -------------------------------------------------------


def own_server(folder, **environment):
    launcher = ProcessLauncher(
        [sys.executable, "-c", "from onnx_server.cli import serve; serve()"],
        {"ONNX_SERVER_MODEL": str(folder), "ONNX_SERVER_HOST": "127.0.0.1", **environment},
    )
    manifest = json.loads((folder / "manifest.json").read_text())
    return Subject(launcher=launcher, samples=samples_from_manifest(manifest), served=folder)


def test_our_server_binds_the_given_port_ends_on_sigterm_and_leaves_its_model_alone(tmp_path):
    subject = own_server(write_linear(tmp_path / "model"))
    results = check(subject, ["C8", "C26", "C28"])
    assert [r.outcome for r in results] == ["pass"] * 3, results


ABRUPT = """
import os, signal, sys
sys.path.insert(0, os.getcwd())
from http.server import ThreadingHTTPServer
from tests.conformance.stub import Handler
port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def test_a_server_that_dies_of_sigterm_fails_c28():
    launcher = ProcessLauncher([sys.executable, "-c", ABRUPT])
    (result,) = check(Subject(launcher=launcher), ["C28"])
    assert result.outcome == "fail"
    assert "exit code is -15" in result.detail


def test_a_server_that_ends_at_once_fails_c26():
    launcher = ProcessLauncher([sys.executable, "-c", "raise SystemExit(3)"])
    (result,) = check(Subject(launcher=launcher), ["C26"])
    assert result.outcome == "fail"
    assert "exit code 3" in result.detail


def test_a_server_without_memory_for_more_models_answers_507(tmp_path):
    from tests.server.conftest import running

    folder = write_linear(tmp_path / "models" / "m")
    arguments = ("--multi-model", "--models-dir", str(folder.parent))
    with running(tmp_path, *arguments, memory_limit_bytes="1") as server:
        models = (ModelFolder("m", str(folder)),)
        subject = Subject(f"http://127.0.0.1:{server.port}", mode="multi", models=models)
        (result,) = check(subject, ["C22"])
    assert result.outcome == "pass"
    assert "507 after 0 models" in result.detail


# --- archives of models --------------------------------------------------------------------------


def archive(path, *members: tarfile.TarInfo, mode="w:gz"):
    with tarfile.open(path, mode) as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"{}" if member.size else b""))
    return path


def member(name: str, **fields) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = 0 if "type" in fields else 2
    info.mode = 0o644
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def test_a_plain_archive_passes_c8(tmp_path):
    path = archive(tmp_path / "m.tar.gz", member("manifest.json"), member("model.onnx"))
    with open_target(str(path), Options()) as subject:
        (result,) = check(subject, ["C8"])
    assert result.outcome == "pass", result


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (member("link", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "is a link"),
        (member("/etc/x"), "leads out"),
        (member("a/../../x"), "leads out"),
        (member("__pycache__/x.pyc"), "needless"),
        (member("secret", mode=0o600), "not readable"),
    ],
)
def test_an_archive_with_a_bad_member_fails_c8(tmp_path, bad, says):
    path = archive(tmp_path / "m.tar.gz", member("manifest.json"), bad)
    (result,) = check(Subject(archive=path), ["C8"])
    assert result.outcome == "fail"
    assert says in result.detail


def test_an_archive_that_is_not_gzip_or_is_cut_off_fails_c8(tmp_path):
    plain = archive(tmp_path / "plain.tar", member("manifest.json"), mode="w")
    whole = archive(tmp_path / "m.tar.gz", member("manifest.json"), member("model.onnx"))
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(whole.read_bytes()[:-40])
    for path in (plain, cut):
        assert failures(Subject(archive=path), "C8") == {"C8"}


# --- images --------------------------------------------------------------------------------------


def layer(*names: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in names:
            tar.addfile(member(name), io.BytesIO(b"{}"))
    return buffer.getvalue()


def docker_archive(path, config: dict, *layers: bytes):
    files = {f"{index}.tar": content for index, content in enumerate(layers)}
    entry = {"Config": "config.json", "RepoTags": ["x:1"], "Layers": list(files)}
    files["config.json"] = json.dumps({"config": config}).encode()
    files["manifest.json"] = json.dumps([entry]).encode()
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


RIGHT = {
    "Entrypoint": ["python", "-m", "server"],
    "Labels": {f"{CAPABILITIES}{name}": "true" for name in ("multi-models", "accept-bind-to-port")},
}


def test_a_docker_archive_of_a_right_image_fails_nothing(tmp_path):
    path = docker_archive(tmp_path / "i.tar", RIGHT, layer("opt/a", "opt/b"), layer("opt/.wh.a"))
    with open_target(str(path), Options(mode="multi")) as subject:
        results = check(subject)
        assert set(subject.image.files) == {"opt/b"}
    assert not failed(results)
    assert {r.clause for r in results if r.outcome == "pass"} == {
        "C1",
        "C2",
        "C3",
        "C4",
        "C5",
        "C6",
    }


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"Entrypoint": ["/bin/sh", "-c", "serve"]}, "C2"),
        ({"Entrypoint": None}, "C2"),
        ({"User": "1000:1000"}, "C3"),
        ({"Entrypoint": ["/usr/bin/tini", "--", "serve"]}, "C4"),
        ({"Labels": {}}, "C5"),
    ],
)
def test_an_image_with_a_wrong_config_fails_exactly_that_clause(tmp_path, change, broken):
    path = docker_archive(tmp_path / "i.tar", RIGHT | change, layer("opt/a"))
    assert failures(Subject(mode="multi", image=read_image(path))) == {broken}


def test_an_image_with_a_driver_fails_c4(tmp_path):
    path = docker_archive(tmp_path / "i.tar", RIGHT, layer("usr/lib/libcuda.so.1"))
    assert failures(Subject(image=read_image(path))) == {"C4"}


@pytest.mark.parametrize(
    ("media_types", "manifests"),
    [
        (("application/vnd.oci.image.manifest.v1+json",), 1),
        (("application/vnd.docker.image.rootfs.diff.tar.zstd",), 1),
        ((), 2),
    ],
)
def test_an_image_that_the_platform_refuses_fails_c1(media_types, manifests):
    image = Image(media_types, manifests, RIGHT, {}, 0)
    assert failures(Subject(image=image)) == {"C1"}


def test_an_image_above_10_gb_fails_c6():
    image = Image(("application/vnd.docker.x",), 1, RIGHT, {}, 10_000_000_001)
    assert failures(Subject(image=image)) == {"C6"}


def test_no_engine_is_something_missing(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingError), open_target("some-image", Options()):
        pass


# --- the command ---------------------------------------------------------------------------------


def command(*words: str) -> subprocess.CompletedProcess[str]:
    words = (sys.executable, "-m", "workbench", "verify", *words)
    return subprocess.run(words, capture_output=True, text=True, timeout=120)


def test_the_command_exits_0_or_1_by_the_result_and_prints_json():
    with serving() as right, serving("ping has a body") as wrong:
        good, bad = command(right, "--only", "C11"), command(wrong, "--only", "C11", "--json")
    assert good.returncode == 0
    assert "C11" in good.stdout
    assert bad.returncode == 1
    assert [r["outcome"] for r in json.loads(bad.stdout)] == ["fail"]


def test_the_command_exits_2_for_a_wrong_target(tmp_path):
    done = command(str(tmp_path))
    assert done.returncode == 2
    assert "is a folder" in done.stderr
