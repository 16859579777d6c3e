"""Wheels: unpacked without trust, without what the image does not need; fetched by hash."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.packaging.makers import SYMBOLS, make_elf, write_wheel
from workbench.errors import CorruptError, MissingError, StepError
from workbench.packaging.image import wheels
from workbench.packaging.image.places import SITE
from workbench.packaging.image.prune import pruner, rules
from workbench.packaging.image.tar_layer import File
from workbench.packaging.image.wheels import Wheel, fetch_wheels, installed, unpack_wheel


def wheel(path: Path, files: dict[str, bytes], record: dict[str, bytes] | None = None) -> Wheel:
    return Wheel("thing", "1.0", write_wheel(path, files, record=record), path)


def nothing(_: str) -> bool:
    return False


def test_a_wheel_is_unpacked_into_the_images_packages(tmp_path):
    found = unpack_wheel(
        wheel(
            tmp_path / "t.whl",
            {
                "thing/__init__.py": b"",
                "thing-1.0.data/purelib/other.py": b"1",
                "thing-1.0.data/platlib/third.py": b"2",
                "thing-1.0.data/scripts/thing": b"#!python",
                "thing-1.0.data/headers/thing.h": b"",
            },
        ),
        nothing,
    )
    names = {path.removeprefix(f"{SITE}/") for path in found}
    assert names == {
        "thing/__init__.py",
        "other.py",
        "third.py",
        "thing-1.0.dist-info/METADATA",
        "thing-1.0.dist-info/RECORD",
    }
    assert found[f"{SITE}/other.py"] == File(b"1")


def test_libraries_lose_their_symbols(tmp_path):
    content = make_elf(["libc.so.6"])
    found = unpack_wheel(wheel(tmp_path / "t.whl", {"thing/a.so": content}), nothing)
    kept = found[f"{SITE}/thing/a.so"].read()
    assert SYMBOLS in content
    assert len(kept) == len(content) - len(SYMBOLS)


def test_what_the_rules_say_is_left_out(tmp_path):
    files = {
        "thing/tests/test_it.py": b"",
        "thing/core.pyi": b"",
        "numpy/f2py/__init__.py": b"",
        "numpy/f2pyx.py": b"",
        "PIL/_avif.cpython-311.so": b"",
    }
    found = unpack_wheel(wheel(tmp_path / "t.whl", files), pruner(rules()))
    assert {path.removeprefix(f"{SITE}/") for path in found} == {
        "numpy/f2pyx.py",
        "thing-1.0.dist-info/METADATA",
    }


@pytest.mark.parametrize("name", ["../x.py", "/x.py", "a/../../x.py", "a\\..\\x.py"])
def test_a_path_that_leads_outside_is_refused(tmp_path, name):
    with pytest.raises(CorruptError, match="leads outside"):
        unpack_wheel(wheel(tmp_path / "t.whl", {name: b""}), nothing)


def test_files_of_the_system_are_refused(tmp_path):
    with pytest.raises(CorruptError, match="does not belong"):
        unpack_wheel(wheel(tmp_path / "t.whl", {"thing-1.0.data/data/etc/x": b""}), nothing)


def test_a_file_that_is_not_what_its_record_says_is_refused(tmp_path):
    made = wheel(tmp_path / "t.whl", {"a.py": b"evil"}, {"a.py": b"good"})
    with pytest.raises(CorruptError, match=r"'a\.py' is not what its RECORD says"):
        unpack_wheel(made, nothing)


def test_a_wheel_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(wheels, "MAX_BYTES", 1000)
    with pytest.raises(CorruptError, match="more than 1000 bytes"):
        unpack_wheel(wheel(tmp_path / "t.whl", {"zeros": bytes(2000)}), nothing)


def test_what_is_no_wheel_is_corrupt(tmp_path):
    path = tmp_path / "t.whl"
    path.write_bytes(b"no zip")
    with pytest.raises(CorruptError, match=r"thing 1\.0 cannot be unpacked"):
        unpack_wheel(Wheel("thing", "1.0", "", path), nothing)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.py", "")
    with pytest.raises(CorruptError, match="no RECORD"):
        unpack_wheel(Wheel("thing", "1.0", "", path), nothing)


def test_two_wheels_with_the_same_file_are_refused(tmp_path):
    one, two = (wheel(tmp_path / f"{n}.whl", {"a.py": b""}) for n in "12")
    with pytest.raises(StepError, match=r"Two wheels have the file .*a\.py"):
        installed([one, two], nothing)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes wheels from, and nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_wheels_are_fetched_by_hash_for_the_images_python(index, tmp_path):
    files = {
        "thing-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: false\n"
        b"Tag: cp311-cp311-manylinux_2_28_x86_64\n"
    }
    name = "thing-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
    sha256 = write_wheel(index / name, files)
    wanted = [("thing", "1.0", ("0" * 64, sha256))]
    found, fetched = fetch_wheels(wanted, tmp_path / "wheels")
    assert fetched == 1
    assert found == [Wheel("thing", "1.0", sha256, tmp_path / "wheels" / f"{sha256}.whl")]
    assert hashlib.sha256(found[0].path.read_bytes()).hexdigest() == sha256
    (index / name).unlink()
    assert fetch_wheels(wanted, tmp_path / "wheels") == (found, 0)
    assert [path.name for path in (tmp_path / "wheels").iterdir()] == [f"{sha256}.whl"]
    found[0].path.write_bytes(b"damaged")
    with pytest.raises(MissingError, match="pip cannot fetch the wheels"):
        fetch_wheels(wanted, tmp_path / "wheels")


def test_a_wheel_with_another_hash_is_refused(index, tmp_path):
    write_wheel(index / "thing-1.0-py3-none-any.whl", {})
    with pytest.raises(MissingError, match=r"pip cannot fetch"):
        fetch_wheels([("thing", "1.0", ("0" * 64,))], tmp_path / "wheels")


def test_without_pip_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingError, match="ensurepip"):
        fetch_wheels([("thing", "1.0", ("0" * 64,))], tmp_path / "wheels")


def test_the_rules_mean_the_same_to_find_and_to_python(tmp_path):
    paths = [
        "usr/lib/python3.11/test/a.py",
        "usr/lib/python3.11/testing.py",
        "usr/lib/python3.11/lib-dynload/_tkinter.x.so",
        "usr/lib/python3.11/config-3.11-x86_64-linux-gnu/Makefile",
        f"{SITE}/numpy/core/tests/deep/a.py",
        f"{SITE}/numpy/_core/include/numpy/a.h",
        f"{SITE}/numpy/testsuite.py",
        f"{SITE}/thing/a.pyi",
        f"{SITE}/thing/_simd.x.so",
        f"{SITE}/thing-1.0.dist-info/RECORD",
        f"{SITE}/thing-1.0.dist-info/METADATA",
        "usr/bin/python3.11",
    ]
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    # As rootfs.sh does it.
    script = 'while read -r p; do find "$1" -depth -path "$1/$p" -exec rm -rf {} +; done'
    command = ["sh", "-c", script, "sh", str(tmp_path)]
    subprocess.run(command, input="\n".join(rules()) + "\n", text=True, check=True)
    left_out = pruner(rules())
    kept = [path for path in paths if (tmp_path / path).exists()]
    assert kept == [path for path in paths if not left_out(path)]
    assert kept == [
        "usr/lib/python3.11/testing.py",
        f"{SITE}/numpy/testsuite.py",
        f"{SITE}/thing-1.0.dist-info/METADATA",
        "usr/bin/python3.11",
    ]
