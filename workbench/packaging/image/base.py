"""The lowest layer: glibc, Python and its modules, certificates, and who is who.

Without a shell, without a package manager, without maintainer scripts: what they would have made
is written here.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence

from workbench.errors import StepError
from workbench.packaging.image.debs import Deb, merged, resolve
from workbench.packaging.image.linked import Needs
from workbench.packaging.image.places import LOADER, MULTIARCH, PYTHON, STDLIB
from workbench.packaging.image.tar_layer import Entries, Entry, File, Folder, Link

MANYLINUX = (
    *("libgcc_s.so.1", "libstdc++.so.6", "libc.so.6", "libm.so.6", "libdl.so.2", "librt.so.1"),
    *("libpthread.so.0", "libutil.so.1", "libresolv.so.2"),
)
"""What a wheel may expect of the system (PEP 600), as far as it needs no display: so the base does
not change with the wheels."""
BUNDLE = "etc/ssl/certs/ca-certificates.crt"
WRITTEN: Entries = {
    "bin": Link("usr/bin"),
    "lib": Link("usr/lib"),
    "lib64": Link("usr/lib64"),
    f"usr/lib64/{posixpath.basename(LOADER)}": Link(f"/{LOADER}"),
    # Where OpenSSL looks unless SSL_CERT_FILE says otherwise.
    "usr/lib/ssl/cert.pem": Link(f"/{BUNDLE}"),
    "etc/passwd": File(b"root:x:0:0:root:/:/usr/sbin/nologin\n"),
    "etc/group": File(b"root:x:0:\n"),
    "etc/nsswitch.conf": File(b"hosts: files dns\n"),
    "etc/os-release": Link("../usr/lib/os-release"),
    "opt/ml": Folder(),
    "tmp": Folder(0o1777),
}


def base_entries(debs: Sequence[Deb], left_out: Callable[[str], bool]) -> dict[str, Entry]:
    """What of Debian's packages the image has.

    Python and its modules, the shared libraries that they and wheels need, the certificates as one
    bundle, each package's licence, and its control file where scanners look for it.

    Raises:
        StepError: a package that something is needed from is not among them.
    """
    everything: dict[str, Entry] = {}
    for deb in debs:
        everything |= {merged(path): entry for path, entry in deb.entries.items()}
    chosen: dict[str, Entry] = dict(WRITTEN)
    for path in everything:
        if _taken(path) and not left_out(path):
            file = resolve(everything, path)
            if file is not None:  # else a folder, or a link to one
                chosen[path] = file
    chosen[BUNDLE] = _certificates(everything)
    chosen |= _libraries(everything, chosen)
    for deb in debs:
        chosen[f"var/lib/dpkg/status.d/{deb.fields['Package']}"] = File(deb.control.encode())
    for path in (PYTHON, f"{STDLIB}/os.py", "usr/lib/os-release", LOADER):
        if path not in chosen:
            raise StepError(f"No package of debian.lock has {path}.")
    return chosen


def _taken(path: str) -> bool:
    licence = path.startswith("usr/share/doc/") and path.endswith("/copyright")
    return path in (PYTHON, "usr/lib/os-release", "etc/debian_version") or licence or (
        path.startswith(f"{STDLIB}/")
    )  # fmt: skip


def _libraries(everything: Entries, chosen: Entries) -> dict[str, Entry]:
    """Libraries under the names that programs ask for, with the content that links lead to."""
    named: dict[str, Entry] = {}
    for path in everything:
        if posixpath.dirname(path) == MULTIARCH and ".so" in path:
            file = resolve(everything, path)
            if file is not None:
                named[path] = file
    needs = Needs({**chosen, **named})
    roots = [path for path in needs if path in chosen]
    roots += [LOADER, *(f"{MULTIARCH}/{name}" for name in MANYLINUX)]
    return {path: named[path] for path in needs.closure(roots) if path in named}


def _certificates(everything: Entries) -> File:
    """All authorities of the package ca-certificates, as update-ca-certificates joins them."""
    folder = "usr/share/ca-certificates/"
    found = [
        entry.read().strip() + b"\n"
        for path, entry in sorted(everything.items())
        if path.startswith(folder) and path.endswith(".crt") and isinstance(entry, File)
    ]
    if not found:
        raise StepError("No package of debian.lock has certificates of authorities.")
    return File(b"".join(found))
