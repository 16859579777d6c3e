"""Shared libraries of an image: which files need which, and that none is missing.

It follows the loader's search as far as images go: the file's own RPATH or RUNPATH, then the
system's folders. A library that an earlier module has loaded from elsewhere is not counted on.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from workbench.errors import StepError
from workbench.packaging.image.elf import is_elf, read_dynamic
from workbench.packaging.image.places import MULTIARCH
from workbench.packaging.image.tar_layer import Entries, File

SYSTEM = (MULTIARCH, "usr/lib64", "usr/lib")
"""Folders that glibc searches for 64-bit programs, /lib being a link to /usr/lib."""


class Needs:
    """What the ELF files among entries need; each is read once."""

    def __init__(self, entries: Entries) -> None:
        self._of = {}
        for path, entry in entries.items():
            content = entry.read() if isinstance(entry, File) else b""
            if is_elf(content):
                self._of[path] = read_dynamic(content, path)

    def __iter__(self) -> Iterator[str]:
        """The paths of the ELF files."""
        return iter(self._of)

    def closure(self, roots: Iterable[str], elsewhere: Collection[str] = ()) -> set[str]:
        """The ELF files among ``roots`` and all that they need, directly or not.

        Args:
            roots: paths of ELF files.
            elsewhere: paths of libraries that lie in other layers, and need nothing from here.

        Raises:
            StepError: a library is in neither; the message names all that are missing.
        """
        found: set[str] = set()
        waiting = list(roots)
        missing = {posixpath.basename(p): "all wheels" for p in waiting if p not in self._of}
        while waiting:
            path = waiting.pop()
            if path in found or path not in self._of:
                continue
            found.add(path)
            for name in self._of[path].needed:
                places = [posixpath.join(folder, name) for folder in self._folders(path)]
                here = next((place for place in places if place in self._of), None)
                if here is not None:
                    waiting.append(here)
                elif not any(place in elsewhere for place in places):
                    missing.setdefault(name, path)
        if missing:
            listed = ", ".join(f"{name} (for {path})" for name, path in sorted(missing.items()))
            raise StepError(
                f"Shared libraries are missing in the image: {listed}.",
                hint="Add the Debian package that has them to debian.lock.",
            )
        return found

    def _folders(self, path: str) -> Iterator[str]:
        own = posixpath.dirname(path)
        for folder in self._of[path].folders:
            full = folder.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", f"/{own}")
            yield posixpath.normpath(full).lstrip("/")
        yield from SYSTEM


def keep_linked(entries: Entries, elsewhere: Collection[str]) -> dict[str, File]:
    """Wheels' files without the libraries in their ``NAME.libs`` folders that nothing needs.

    Raises:
        StepError: a library that is needed is missing.
    """
    needs = Needs(entries)
    bundled = {path for path in entries if _bundled(path)}
    kept = needs.closure((path for path in needs if path not in bundled), elsewhere)
    return {
        path: entry
        for path, entry in entries.items()
        if isinstance(entry, File) and (path not in bundled or path in kept)
    }


def libraries(entries: Mapping[str, object]) -> list[str]:
    """Paths of the shared libraries in the system's folders, by their names; sorted."""
    return sorted(
        path
        for path in entries
        if posixpath.dirname(path) in SYSTEM and ".so" in posixpath.basename(path)
    )


def _bundled(path: str) -> bool:
    return PurePosixPath(path).parent.name.endswith(".libs")
