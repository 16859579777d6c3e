"""Engines: which of them works, what they are told, and what they say."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.packaging.registry.registries import Told, debian_registry, need_program
from workbench.errors import InputError, MissingError, StepError
from workbench.packaging import engines
from workbench.packaging.engines import Engine, Unusable, build, choose_engine, find_engine
from workbench.packaging.image.registry import pull, push

DOCKER_INFO = {"ServerVersion": "28.0", "SecurityOptions": ["name=seccomp", "name=rootless"]}
PODMAN_INFO = {"version": {"Version": "4.3"}, "host": {"security": {"rootless": False}}}


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for name in (engines.BUILD_OPTIONS, engines.RUN_OPTIONS):
        monkeypatch.delenv(name, raising=False)
    return folder


def write_stub(programs: Path, name: str, script: str) -> Engine:
    """A program that notes its arguments, one a line, and does what the script says."""
    path = programs / name
    notes = programs / f"{name}.arguments"
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {notes}\n{script}\n')
    path.chmod(0o755)
    return Engine(name, str(path), "1", rootless=False)


def arguments(programs: Path, name: str) -> list[str]:
    return (programs / f"{name}.arguments").read_text().splitlines()


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "one").mkdir(parents=True)
    (folder / "one" / "Dockerfile").write_text("FROM scratch\nCOPY hello /hello\nLABEL a=b\n")
    (folder / "hello").write_text("hello\n")
    return folder


def test_without_engines_each_has_its_reason(programs: Path) -> None:
    with pytest.raises(MissingError) as caught:
        choose_engine()
    for name in engines.NAMES:
        assert f"{name}: it is not installed" in str(caught.value)
    assert "without an engine" in str(caught.value)


def test_the_first_that_works_is_taken(programs: Path) -> None:
    write_stub(programs, "docker", "echo 'Cannot connect to the daemon' >&2; exit 1")
    write_stub(programs, "podman", f"echo '{json.dumps(PODMAN_INFO)}'")
    found = choose_engine()
    assert (found.name, found.version, found.rootless) == ("podman", "4.3", False)
    assert find_engine("docker") == Unusable("docker", "Cannot connect to the daemon")
    write_stub(programs, "docker", f"echo '{json.dumps(DOCKER_INFO)}'")
    found = choose_engine()
    assert (found.name, found.version, found.rootless) == ("docker", "28.0", True)
    assert choose_engine("podman").name == "podman"


def test_a_docker_without_its_server_does_not_work(programs: Path) -> None:
    info = {"ServerErrors": ["Cannot connect"], "ServerVersion": ""}
    write_stub(programs, "docker", f"echo '{json.dumps(info)}'")
    assert find_engine("docker") == Unusable("docker", "Cannot connect")
    with pytest.raises(MissingError, match=r"docker does not work here \(docker: Cannot connect"):
        choose_engine("docker")


def test_buildah_only_builds(programs: Path) -> None:
    script = 'test "$1" = info && echo \'{"host":{"rootless":true}}\' || echo \'{"version":"1"}\''
    write_stub(programs, "buildah", script)
    assert choose_engine().name == "buildah"
    assert choose_engine().rootless
    with pytest.raises(MissingError, match="No container engine") as caught:
        choose_engine(to_run=True)
    assert "buildah:" not in str(caught.value)
    with pytest.raises(InputError, match="does not run"):
        choose_engine("buildah", to_run=True)
    with pytest.raises(InputError, match="does not run"):
        engines.launcher(choose_engine(), "image")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo '{}'", "does not say its version"),
        ("echo nonsense", "does not say its version"),
        ("exit 3", "fails without a word"),
        ("exec sleep 60", "does not answer within"),
    ],
)
def test_an_engine_that_misbehaves_has_a_reason(
    programs: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(engines, "ANSWER_S", 0.5)
    write_stub(programs, "podman", script)
    found = find_engine("podman")
    assert isinstance(found, Unusable)
    assert reason in found.reason


def test_another_name_is_refused(programs: Path) -> None:
    with pytest.raises(InputError, match="'kaniko' is no engine"):
        choose_engine("kaniko")


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("docker", ["build"]),
        ("podman", ["build", "--format", "docker"]),
        ("buildah", ["bud", "--format", "docker"]),
    ],
)
def test_what_an_engine_is_told_to_build(
    programs: Path, context: Path, monkeypatch: pytest.MonkeyPatch, name: str, first: list[str]
) -> None:
    monkeypatch.setenv(engines.BUILD_OPTIONS, "--isolation chroot --label 'a=b c'")
    engine = write_stub(programs, name, 'echo "$BUILDX_NO_DEFAULT_ATTESTATIONS"')
    log = context.parent / "logs" / "build.log"
    build(engine, context, "one/Dockerfile", "app:1", log=log, build_args={"Z": "1", "A": "b c"})
    file = str(context / "one" / "Dockerfile")
    middle = ["--file", file, "--tag", "app:1", "--build-arg", "A=b c", "--build-arg", "Z=1"]
    options = ["--isolation", "chroot", "--label", "a=b c"]
    assert arguments(programs, name) == [*first, *middle, *options, str(context)]
    assert log.read_text() == "1\n"


def test_steps_are_told_as_progress(programs: Path, context: Path) -> None:
    lines = ["STEP 1/4: FROM x", "STEP 3/4: RUN y", "[2/2] STEP 2/2: COPY z", "Step 2/2 : RUN"]
    lines += ["#7 [build 2/4] RUN a", "#8 [1/5] FROM", "it is 1/2 of nothing"]
    engine = write_stub(programs, "podman", "\n".join(f"echo '{line}'" for line in lines))
    told = Told()
    build(engine, context, "one/Dockerfile", "a", log=context / "log", progress=told)
    parts = [done / total for done, total in told.advances]
    assert parts == [0, 0.5, 0.75, 0.5, 0.25, 0]
    assert len(told.details) == 1


def test_a_failed_build_shows_its_last_lines(programs: Path, context: Path) -> None:
    script = "i=0; while [ $i -lt 40 ]; do echo line $i; i=$((i+1)); done; echo bad >&2; exit 7"
    engine = write_stub(programs, "buildah", script)
    log = context.parent / "build.log"
    with pytest.raises(StepError) as caught:
        build(engine, context, "one/Dockerfile", "a", log=log)
    text = str(caught.value)
    assert "exit code 7" in text
    assert "  line 39\n  bad\n" in text
    assert "line 20" not in text
    assert str(log) in text
    assert engines.BUILD_OPTIONS in text
    assert log.read_text().splitlines()[0] == "line 0"


def test_mistakes_are_said_before_an_engine_starts(
    programs: Path, context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = write_stub(programs, "podman", "")
    with pytest.raises(InputError, match="There is no"):
        build(engine, context, "two/Dockerfile", "a", log=context / "log")
    monkeypatch.setenv(engines.BUILD_OPTIONS, "'unbalanced")
    with pytest.raises(InputError, match="cannot be split"):
        build(engine, context, "one/Dockerfile", "a", log=context / "log")
    assert not (programs / "podman.arguments").exists()


def test_an_interrupted_build_ends_with_its_children(
    programs: Path, context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    pids = programs / "pids"
    engine = write_stub(programs, "podman", f"sleep 60 & echo $$ $! > {pids}; echo on; wait")

    def interrupt() -> None:
        while not (pids.exists() and pids.read_text().strip()):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        build(engine, context, "one/Dockerfile", "a", log=context / "log")
    deadline = time.monotonic() + 10
    for pid in map(int, pids.read_text().split()):
        while _runs(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_archive_is_loaded_and_saved(programs: Path, tmp_path: Path) -> None:
    archive = tmp_path / "out" / "image.tar"
    docker = write_stub(programs, "docker", "echo 'Loaded image: app:1'")
    assert engines.load(docker, archive) == "app:1"
    assert arguments(programs, "docker") == ["load", "--input", str(archive)]
    podman = write_stub(programs, "podman", "echo 'Loaded image(s): localhost/app:1'")
    assert engines.load(podman, archive) == "localhost/app:1"
    buildah = write_stub(programs, "buildah", "echo 0123abc")
    assert engines.load(buildah, archive) == "0123abc"
    assert arguments(programs, "buildah") == ["pull", f"docker-archive:{archive}"]
    with pytest.raises(StepError, match="does not say which image"):
        engines.load(write_stub(programs, "podman", "echo done"), archive)
    writer = write_stub(programs, "docker", 'echo whole > "$3"')
    engines.save(writer, "app:1", archive)
    assert archive.read_text() == "whole\n"
    failing = write_stub(programs, "docker", 'echo half > "$3"; echo no such image >&2; exit 1')
    with pytest.raises(StepError, match="no such image"):
        engines.save(failing, "app:2", archive)
    assert [path.name for path in archive.parent.iterdir()] == ["image.tar"]
    assert archive.read_text() == "whole\n"


def test_a_run_takes_the_options_of_the_environment(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv(engines.RUN_OPTIONS, "--network host")
    notes = programs / "run"
    script = f'test "$1" = run && printf "%s\\n" "$@" > {notes}; echo "false 1"'
    engine = write_stub(programs, "podman", script)
    with pytest.raises(TimeoutError, match="exit code 1"):
        engines.launcher(engine, "app:1", ["--read-only"]).start({})
    said = notes.read_text().splitlines()
    assert said[:2] == ["run", "--detach"]
    assert said[4:7] == ["--network", "host", "--read-only"]
    assert said[-2:] == ["app:1", "serve"]


# The real ones


@pytest.fixture(params=["buildah", "podman"])
def real(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Engine:
    need_program(request.param)
    monkeypatch.setenv(engines.BUILD_OPTIONS, "--isolation chroot")
    return choose_engine(request.param)


def test_a_real_engine_builds_saves_and_loads(real: Engine, context: Path, tmp_path: Path) -> None:
    tag = f"localhost/workbench-test-{os.getpid()}:{real.name}"
    archive, log, told = tmp_path / "image.tar", tmp_path / "build.log", Told()
    try:
        build(real, context, "one/Dockerfile", tag, log=log, progress=told)
        assert "STEP 3/3: LABEL a=b" in log.read_text()
        assert len(told.advances) == 3
        engines.save(real, tag, archive)
        assert archive.stat().st_size > 1000
        assert engines.load(real, archive)
        with pytest.raises(StepError):
            engines.save(real, "localhost/workbench-test-none:1", tmp_path / "none.tar")
    finally:
        engines.run_engine([real.program, "rmi", "--force", tag])


def test_a_real_engines_image_goes_through_a_registry_and_back(
    context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    podman = need_program("podman")
    monkeypatch.setenv(engines.BUILD_OPTIONS, "--isolation chroot")
    tag = f"localhost/workbench-test-{os.getpid()}:registry"
    folder = tmp_path / "registry"
    folder.mkdir()
    with debian_registry(folder) as host:
        names = [tag, f"{host}/app:2"]
        try:
            build(choose_engine("podman"), context, "one/Dockerfile", tag, log=tmp_path / "log")
            insecure = "--tls-verify=false"
            engines.run_engine([podman, "push", insecure, tag, f"docker://{host}/app:1"])
            image = pull(f"{host}/app:1", tmp_path / "blobs")
            assert image.settings()["config"]["Labels"]["a"] == "b"
            push(image, f"{host}/app:2")
            engines.run_engine([podman, "pull", insecure, f"{host}/app:2"])
            format_ = "{{.Id}}"
            ids = {
                engines.run_engine([podman, "image", "inspect", "--format", format_, name]).strip()
                for name in names
            }
            assert ids == {image.config_digest.removeprefix("sha256:")}
        finally:
            for name in names:
                engines.run_engine([podman, "rmi", "--force", "--ignore", name])
