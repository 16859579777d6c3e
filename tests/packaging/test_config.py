"""The configuration that is written here is the one of the Dockerfiles."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from workbench.packaging.image.base import WRITTEN
from workbench.packaging.image.config import CAPABILITIES, SECOND, Kind, image_of
from workbench.packaging.image.parts import Blob, Image, Layer
from workbench.packaging.image.tar_layer import File
from workbench.shipped import shipped

LAYER = Layer("server", f"sha256:{'1' * 64}", Blob(f"sha256:{'2' * 64}", 1, Path("x")), 2)
BELOW = Layer("debian", f"sha256:{'3' * 64}", Blob(f"sha256:{'4' * 64}", 1, Path("y")), 2)


def instructions(kind: Kind) -> list[tuple[str, str]]:
    """Those of the last stage, on one line each; a multi-model image is on top of a single one."""
    text = (shipped("serving_containers") / f"{kind}_model" / "Dockerfile").read_text()
    text = re.sub(r"(?m)^#.*\n", "", text).replace("\\\n", " ").rpartition("\nFROM ")[2]
    lines = [line.split(None, 1) for line in text.splitlines()[1:] if line.strip()]
    own = [(name, rest.strip()) for name, rest in lines]
    return own if kind == "single" else [*instructions("single"), *own]


def settings(kind: Kind, base: Image | None = None) -> dict:
    return image_of(kind, [LAYER], base).settings()


def values(kind: Kind, name: str) -> dict[str, str]:
    words = [w for i, rest in instructions(kind) if i == name for w in shlex.split(rest)]
    return dict(word.split("=", 1) for word in words)


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_it_says_what_the_dockerfiles_say(kind):
    found = settings(kind)["config"]
    environment = dict(line.split("=", 1) for line in found["Env"])
    path = environment.pop("PATH")  # which engines add by themselves
    assert path.endswith("/usr/bin:/sbin:/bin")
    assert environment == values(kind, "ENV")
    assert found["Labels"] == values(kind, "LABEL")
    told = dict(instructions(kind))
    assert found["Entrypoint"] == json.loads(told["ENTRYPOINT"])
    assert found["ExposedPorts"] == {f"{told['EXPOSE']}/tcp": {}}
    options, _, command = told["HEALTHCHECK"].partition(" CMD ")
    times = {name: int(s) * SECOND for name, s in re.findall(r"--([a-z-]+)=(\d+)s", options)}
    check = found["Healthcheck"]
    assert check["Test"] == ["CMD", *json.loads(command)]
    assert times == {
        "interval": check["Interval"],
        "timeout": check["Timeout"],
        "start-period": check["StartPeriod"],
    }
    assert {name for name, _ in instructions(kind)} <= {
        "COPY", "LABEL", "ENV", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT",
    }, "an instruction that image_of() does not follow"  # fmt: skip


def test_only_the_multi_model_image_has_its_label():
    label = f"{CAPABILITIES}multi-models"
    assert settings("multi")["config"]["Labels"][label] == "true"
    assert label not in settings("single")["config"]["Labels"]


def test_layers_and_history_agree_and_time_is_fixed(monkeypatch):
    found = settings("single")
    assert found["rootfs"] == {"type": "layers", "diff_ids": [LAYER.diff_id]}
    assert [h["comment"] for h in found["history"]] == ["server"]
    assert found["created"] == "1970-01-01T00:00:00Z"
    assert (found["os"], found["architecture"]) == ("linux", "amd64")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert settings("single")["created"] == "2023-11-14T22:13:20Z"


def test_a_base_keeps_what_the_server_does_not_replace():
    base = {
        "os": "linux",
        "architecture": "amd64",
        "config": {
            "Env": ["PATH=/opt/bin", "LANG=de", "TZ=UTC"],
            "Labels": {"vendor": "x"},
            "User": "1000",
            "Cmd": ["bash"],
            "WorkingDir": "/srv",
        },
        "history": [{"comment": "debian"}, {"created_by": "ENV", "empty_layer": True}],
        "rootfs": {"type": "layers", "diff_ids": [BELOW.diff_id]},
    }
    image = image_of("single", [LAYER], Image(json.dumps(base).encode(), (BELOW,)))
    found = image.settings()
    environment = dict(line.split("=", 1) for line in found["config"]["Env"])
    assert (environment["PATH"], environment["TZ"]) == ("/opt/bin", "UTC")
    assert environment["LANG"] == "C.UTF-8"
    assert found["config"]["Labels"]["vendor"] == "x"
    assert found["config"]["WorkingDir"] == "/srv"
    assert not {"User", "Cmd"} & set(found["config"])  # C3, C2
    assert image.layers == (BELOW, LAYER)
    assert found["rootfs"]["diff_ids"] == [BELOW.diff_id, LAYER.diff_id]
    assert len(found["history"]) == 3


def test_the_files_that_are_written_are_those_of_rootfs():
    script = (shipped("serving_containers") / "single_model" / "rootfs.sh").read_text()
    written = dict(re.findall(r"echo '([^']*)' > \"\$root/(etc/[a-z.]+)\"", script))
    assert written
    for line, path in written.items():
        assert WRITTEN[path] == File(f"{line}\n".encode())
