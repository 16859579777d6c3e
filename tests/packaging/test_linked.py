"""ELF files: what they need, without their symbols; and which libraries an image lacks."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.packaging.makers import SYMBOLS, make_elf
from workbench.errors import CorruptError, StepError
from workbench.packaging.image.elf import Dynamic, is_elf, read_dynamic, stripped
from workbench.packaging.image.linked import Needs, keep_linked, libraries
from workbench.packaging.image.places import MULTIARCH, SITE
from workbench.packaging.image.tar_layer import File, Link


@pytest.mark.parametrize("rpath", [False, True])
def test_needed_libraries_and_folders_are_read(rpath):
    content = make_elf(["liba.so.1", "libb.so"], "$ORIGIN/../x:/y", rpath=rpath)
    assert is_elf(content)
    assert read_dynamic(content, "x") == Dynamic(("liba.so.1", "libb.so"), ("$ORIGIN/../x", "/y"))
    assert read_dynamic(make_elf(), "x") == Dynamic()


def test_only_what_is_loaded_stays():
    content = make_elf(["liba.so.1"])
    kept = stripped(content, "x")
    assert SYMBOLS in content
    assert SYMBOLS not in kept
    assert read_dynamic(kept, "x") == read_dynamic(content, "x")
    assert kept[40:48] == bytes(8)  # e_shoff: no section headers
    assert stripped(kept, "x") == kept


@given(at=st.integers(6, 300), value=st.integers(0, 255), cut=st.integers(7, 400))
def test_a_damaged_file_is_corrupt_and_nothing_else(at, value, cut):
    content = bytearray(make_elf(["liba.so.1"], "$ORIGIN"))
    content[at] = value
    for damaged in (bytes(content), bytes(content[:cut])):
        for read in (read_dynamic, stripped):
            try:
                read(damaged, "x")
            except CorruptError as error:
                assert "x is no ELF file" in str(error)


@pytest.mark.skipif(sys.platform != "linux", reason="reads a library of this machine")
def test_a_real_library_works_without_its_symbols(tmp_path):
    spec = find_spec("orjson.orjson") or find_spec("_json")
    assert spec is not None
    assert spec.origin is not None
    content = Path(spec.origin).read_bytes()
    assert "libc.so.6" in read_dynamic(content, "x").needed
    (tmp_path / "lib.so").write_bytes(stripped(content, "x"))
    assert (tmp_path / "lib.so").stat().st_size <= len(content)
    script = f"import ctypes; ctypes.CDLL({str(tmp_path / 'lib.so')!r})"
    subprocess.run([sys.executable, "-c", script], check=True)


def lib(name: str) -> str:
    return f"{MULTIARCH}/{name}"


def test_all_that_is_needed_is_found():
    entries = {
        "usr/bin/python3.11": File(make_elf(["liba.so"])),
        lib("liba.so"): File(make_elf(["libb.so"])),
        lib("libb.so"): File(make_elf(["liba.so"])),
        lib("libc.so"): File(make_elf()),
        "etc/hosts": File(b""),
        "bin": Link("usr/bin"),
    }
    needs = Needs(entries)
    assert needs.closure(["usr/bin/python3.11"]) == {
        "usr/bin/python3.11",
        lib("liba.so"),
        lib("libb.so"),
    }


def test_missing_libraries_are_all_named():
    entries = {"usr/bin/x": File(make_elf(["liba.so", "libb.so", "libc.so"]))}
    with pytest.raises(
        StepError, match=r"liba\.so \(for usr/bin/x\), libb\.so \(for usr/bin/x\)\."
    ):
        Needs(entries).closure(["usr/bin/x"], [lib("libc.so")])


def test_bundled_libraries_that_nothing_needs_are_left_out():
    entries = {
        f"{SITE}/PIL/_imaging.so": File(make_elf(["libjpeg.so"], "$ORIGIN/../pillow.libs")),
        f"{SITE}/pillow.libs/libjpeg.so": File(make_elf(["libz.so"], "${ORIGIN}")),
        f"{SITE}/pillow.libs/libz.so": File(make_elf(["libc.so.6"])),
        f"{SITE}/pillow.libs/libavif.so": File(make_elf(["absent.so"])),
        f"{SITE}/PIL/Image.py": File(b""),
    }
    kept = keep_linked(entries, [lib("libc.so.6")])
    assert set(entries) - set(kept) == {f"{SITE}/pillow.libs/libavif.so"}
    with pytest.raises(StepError, match=r"libc\.so\.6"):
        keep_linked(entries, [])


def test_a_bundled_library_is_not_found_without_its_folder():
    entries = {
        f"{SITE}/a/_a.so": File(make_elf(["libj.so"])),
        f"{SITE}/a.libs/libj.so": File(make_elf()),
    }
    with pytest.raises(StepError, match=r"libj\.so"):
        keep_linked(entries, [])


def test_libraries_are_those_of_the_systems_folders():
    paths = [lib("liba.so.1"), "usr/lib/python3.11/x.so", "usr/lib64/ld.so.2", "usr/lib/os-release"]
    assert libraries(dict.fromkeys(paths)) == [
        "usr/lib/x86_64-linux-gnu/liba.so.1",
        "usr/lib64/ld.so.2",
    ]
