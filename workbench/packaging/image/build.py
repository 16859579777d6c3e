"""Builds a serving image without an engine, without root, and the same everywhere.

Layers from below: Debian's glibc and Python, the wheels, the server, a model each. Each is made
again only when what it is made of has changed, and only then sent again.
"""

from __future__ import annotations

import posixpath
import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench.artifact import MANIFEST, digest, file_digest, files_of
from workbench.errors import InputError
from workbench.packaging.context import SERVER, locked_requirements
from workbench.packaging.image.base import base_entries
from workbench.packaging.image.bytecode import compiled, unpack_python
from workbench.packaging.image.config import PROFILER, Kind, image_of
from workbench.packaging.image.contents import paths_of
from workbench.packaging.image.debian import (
    SNAPSHOT,
    fetch_deb,
    lock_path,
    mirror,
    read_lock,
)
from workbench.packaging.image.debs import read_deb
from workbench.packaging.image.layer_cache import LayerCache, LayerNote
from workbench.packaging.image.linked import keep_linked, libraries
from workbench.packaging.image.parts import Image, Layer
from workbench.packaging.image.places import MODEL, MODELS, PYTHON, SITE
from workbench.packaging.image.prune import pruner, rules
from workbench.packaging.image.tar_layer import Entries, Entry, File
from workbench.packaging.image.wheels import fetch_wheels, installed
from workbench.progress import Progress, Work
from workbench.shipped import shipped

SECONDS = {
    "fetch Debian packages": 4.0,
    "base": 4.0,
    "fetch wheels": 8.0,
    "wheels": 8.0,
    "server": 1.0,
}
"""About what each piece takes the first time; for the time left that is shown."""
MODEL_BYTES_PER_S = 20e6
OWN = Path(__file__).parents[2]
"""The package ``workbench`` itself."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


def build_serving_image(
    kind: Kind,
    *,
    models: Sequence[tuple[str, Path]] = (),
    cache: Path,
    base: Image | None = None,
    bytecode: bool = True,
    progress: Progress | None = None,
) -> Image:
    """Build the image; the same arguments give the same layers on every machine.

    Args:
        kind: for one model or for many.
        models: names and artifact folders that are put into the image, in this order; none: they
            are mounted, as the hosting platform does.
        cache: a folder for what is fetched and made.
        base: an image with Debian's Python 3.11, in the place of the packages of debian.lock.
        bytecode: compile all modules, so that containers start sooner. Needs Linux on x86-64.
        progress: who watches.

    Raises:
        InputError: several models for one, a wrong name, an artifact that is none, or a base
            without Debian's Python 3.11.
        MissingError: something cannot be fetched, the disk is full, or this machine cannot run
            the image's Python and ``bytecode`` is wanted.
        CorruptError: what was fetched is not what is locked.
        StepError: the image would not be whole.
    """
    _check(kind, models, base)
    build = _Build(LayerCache(cache), bytecode, progress or Progress())
    build.plan(models, with_base=base is None)
    layers = []
    if base is None or bytecode:  # the interpreter that compiles comes from Debian's packages
        build.fetch_debs()
    if base is None:
        bottom, note = build.base()
        layers.append(bottom)
        offered: Collection[str] = note.libraries
    else:
        offered = libraries(dict.fromkeys(paths_of(base)))
    layers += [build.wheels(offered), build.server()]
    layers += [build.model(kind, name, folder) for name, folder in models]
    build.cache.tidy()
    return image_of(kind, layers, base)


def build_profiler_image(
    *, cache: Path, bytecode: bool = True, progress: Progress | None = None
) -> Image:
    """Build the image of ``workbench.profiler.job``, without torch; see ``build_serving_image``.

    Raises:
        MissingError: something cannot be fetched, the disk is full, or this machine cannot run
            the image's Python and ``bytecode`` is wanted.
        CorruptError: what was fetched is not what is locked.
        StepError: the image would not be whole.
    """
    build = _Build(LayerCache(cache), bytecode, progress or Progress())
    build.plan((), with_base=True)
    build.fetch_debs()
    bottom, note = build.base()
    wheels = build.wheels(note.libraries, PROFILER)
    own = build.package("workbench", OWN)
    build.cache.tidy()
    return image_of(PROFILER, [bottom, wheels, own])


def _check(kind: Kind, models: Sequence[tuple[str, Path]], base: Image | None) -> None:
    if kind == "single" and len(models) > 1:
        raise InputError(
            f"An image for one model cannot hold {len(models)}.", hint="Build the kind 'multi'."
        )
    seen = set()
    for name, folder in models:
        if not NAME.fullmatch(name) or name in seen:
            raise InputError(
                f"'{name}' cannot be a model's name here, or stands twice.",
                hint="A name is of letters, digits, '.', '_' and '-'.",
            )
        if not (folder / MANIFEST).is_file():
            raise InputError(f"{folder} is no artifact: it has no {MANIFEST}.")
        seen.add(name)
    if base is not None and PYTHON not in paths_of(base):
        raise InputError(
            f"The base image has no /{PYTHON}: the server's wheels are for that Python.",
            hint="Take an image with Debian 12's python3, or build without a base.",
        )


@dataclass
class _Build:
    cache: LayerCache
    bytecode: bool
    progress: Progress
    debs: list[Path] = field(default_factory=list)
    """The files of Debian's packages, named by their digests."""

    def plan(self, models: Sequence[tuple[str, Path]], *, with_base: bool) -> None:
        """Tell what will be done."""
        works = [
            Work(label, seconds)
            for label, seconds in SECONDS.items()
            if label != "base" or with_base
            if label != "fetch Debian packages" or with_base or self.bytecode
        ]
        for name, folder in models:
            size = sum(path.stat().st_size for path in files_of(folder))
            works.append(Work(f"model {name}", size / MODEL_BYTES_PER_S))
        self.progress.plan(works)

    @cached_property
    def left_out(self) -> Callable[[str], bool]:
        return pruner(rules())

    def fetch_debs(self) -> None:
        label, began = "fetch Debian packages", time.perf_counter()
        self.progress.start(label)
        lock, origins = read_lock(lock_path()), []
        for number, deb in enumerate(lock.packages, 1):
            path, origin = fetch_deb(deb, self.cache.folder / "debs", mirror())
            self.debs.append(path)
            origins.append(origin)
            self.progress.advance(number, len(lock.packages))
        fetched = [origin for origin in origins if origin]
        old = [origin for origin in fetched if origin.startswith(SNAPSHOT)]
        detail = f"{len(fetched)} fetched"
        if old:
            detail += f", {len(old)} of them from {SNAPSHOT}, as the mirror has them no more"
        seconds = time.perf_counter() - began
        self.progress.finish(label, seconds, reused=not fetched, detail=detail)

    @cached_property
    def base_entries(self) -> dict[str, Entry]:
        return base_entries([read_deb(path) for path in self.debs], self.left_out)

    @cached_property
    def python(self) -> Path:
        """The image's interpreter, unpacked."""
        key = digest([[path.name for path in self.debs], rules()])[:16]
        folder = self.cache.folder / "python" / key
        return folder if folder.is_dir() else unpack_python(self.base_entries, folder)

    def compiled(self, entries: Entries) -> Entries:
        return compiled(entries, self.python) if self.bytecode else entries

    def base(self) -> tuple[Layer, LayerNote]:
        inputs = [[path.name for path in self.debs], rules(), self.bytecode]
        return self._layer("base", inputs, lambda: self.compiled(self.base_entries))

    def wheels(self, offered: Collection[str], container: str = SERVER) -> Layer:
        label, began = "fetch wheels", time.perf_counter()
        self.progress.start(label)
        found, fetched = fetch_wheels(locked_requirements(container), self.cache.folder / "wheels")
        seconds = time.perf_counter() - began
        self.progress.finish(label, seconds, reused=not fetched, detail=f"{fetched} fetched")

        def make() -> Entries:
            return self.compiled(keep_linked(installed(found, self.left_out), offered))

        inputs = [[w.sha256 for w in found], rules(), sorted(offered), self._compiler()]
        return self._layer("wheels", inputs, make)[0]

    def server(self) -> Layer:
        return self.package("server", shipped("serving_containers") / SERVER / SERVER)

    def package(self, label: str, root: Path) -> Layer:
        """A Python package from its folder, under the folder's name."""
        files = {
            f"{SITE}/{root.name}/{path.relative_to(root).as_posix()}": path
            for path in files_of(root)
            # An installed workbench has the recipes and such in it; a checkout beside it.
            if not {"__pycache__", "_shipped"} & set(path.parts) and path.suffix != ".pyc"
        }
        inputs = [{name: file_digest(path) for name, path in files.items()}, self._compiler()]
        return self._layer(
            label, inputs, lambda: self.compiled({n: File(p) for n, p in files.items()})
        )[0]

    def model(self, kind: Kind, name: str, folder: Path) -> Layer:
        place = MODEL if kind == "single" else posixpath.join(MODELS, name, "model")
        files = {
            posixpath.join(place, path.relative_to(folder).as_posix()): path
            for path in (folder / MANIFEST, *files_of(folder))
        }
        inputs = {path: file_digest(file) for path, file in files.items()}
        return self._layer(
            f"model {name}", inputs, lambda: {path: File(file) for path, file in files.items()}
        )[0]

    def _compiler(self) -> list[str]:
        """What decides the bytecode: the interpreter, by the packages that it comes from."""
        return [path.name for path in self.debs] if self.bytecode else []

    def _layer(
        self, label: str, inputs: Any, make: Callable[[], Entries]
    ) -> tuple[Layer, LayerNote]:
        began = time.perf_counter()
        self.progress.start(label)
        layer, note, reused = self.cache.layer(label, inputs, make)
        detail = f"{layer.blob.size / 1e6:.1f} MB"
        seconds = time.perf_counter() - began
        self.progress.finish(label, seconds, reused=reused, detail=detail)
        return layer, note
