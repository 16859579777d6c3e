"""Chapter 3 of the contract: the model's files (C8–C10)."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath

from workbench.conformance.clause import Findings, NotTestedError, Untested, Wrong, clause
from workbench.conformance.client import Client
from workbench.conformance.invocations import describe, judge_error
from workbench.conformance.multi_model import PREFIX, invoke_path, load, unload
from workbench.conformance.subject import Subject

GZIP = b"\x1f\x8b"
NEEDLESS = (".git", "__pycache__", ".ipynb_checkpoints", ".DS_Store", "__MACOSX")


@clause("C8", "One tar.gz of plain files; the server never writes to the model's folder")
def model_files(subject: Subject) -> Findings:
    """The archive's members, and the folder before and after a server has run on it."""
    if subject.archive is None and (subject.launcher is None or subject.served is None):
        raise NotTestedError(
            "needs a model archive (model.tar.gz), or a server to be started on one"
        )
    if subject.archive is not None:
        yield from judge_archive(subject.archive)
    else:
        yield Untested("the archive, as none is given")
    if subject.launcher is None or subject.served is None:
        yield Untested("that nothing is written to the folder, as no server can be started on it")
        return
    before = _state(subject.served)
    running = subject.launcher.start({})
    try:
        if subject.samples and subject.mode != "multi":
            sample = subject.samples[0]
            Client(running.url).post("/invocations", sample.body, sample.content_type)
    finally:
        running.kill()
    after = _state(subject.served)
    if before != after:
        changed = sorted(p for p in {*before, *after} if before.get(p) != after.get(p))
        yield Wrong(f"The server wrote to the model's folder: {', '.join(changed[:3])}.")


@clause(
    "C9", "A model's name is an opaque id, and its folder cannot be left", needs=("url", "multi")
)
def opaque_names(subject: Subject) -> Findings:
    """Load under a name that is no folder's; then try to lead the server out of its folder."""
    client = subject.client
    for url in ("/etc", "/opt/ml/models/../../../etc", "../../etc", "/opt/ml/models/x\0y", ""):
        answer = load(client, f"{PREFIX}out", url)
        yield from judge_error(f"loading from {url!r}", answer, (400, 403, 404, 422))
    for path in ("/models/..%2f..%2fetc", "/models/%2e%2e", "/models/%00"):
        answer = client.get(path)
        yield from judge_error(f"GET {path}", answer, (400, 404))
    if not subject.models:
        yield Untested("loading under another name needs models (--models DIR)")
        return
    # A name with a path in it is nothing but a name: it says nothing about where the model lies.
    for name in (f"{PREFIX}0f1e2d3c4b5a69788796a5b4c3d2e1f0", f"../{PREFIX}%2f.."):
        yield from _load_under(client, name, subject)


@clause("C10", "Downloading and unpacking end within their limits")
def download_limits(_: Subject) -> Findings:
    """The limits are options of the endpoint."""
    raise NotTestedError("the platform downloads and unpacks, in limits that the endpoint sets")


def judge_archive(path: Path) -> Findings:
    """A gzip tar of plain files inside its own root, with a manifest, and nothing needless."""
    with path.open("rb") as file:
        if file.read(2) != GZIP:
            yield Wrong("The archive is not gzip: it would not be downloaded.")
            return
    try:
        with tarfile.open(path, "r:gz") as archive:
            members = archive.getmembers()
    except (tarfile.TarError, OSError, EOFError) as error:
        yield Wrong(f"The archive cannot be read: {error}.")
        return
    for member in members:
        name = PurePosixPath(member.name)
        if member.issym() or member.islnk():
            yield Wrong(f"'{member.name}' is a link; only plain files arrive.")
        elif not (member.isfile() or member.isdir()):
            yield Wrong(f"'{member.name}' is neither a file nor a folder.")
        if name.is_absolute() or ".." in name.parts:
            yield Wrong(f"'{member.name}' leads out of the model's folder.")
        if any(part in NEEDLESS or part.startswith("._") for part in name.parts):
            yield Wrong(f"'{member.name}' is a needless file.")
        if member.isfile() and not member.mode & 0o004:
            yield Wrong(f"'{member.name}' is not readable by all users.")
    if not any(m.isfile() for m in members):
        yield Wrong("The archive holds no file.")
    elif "manifest.json" not in {str(PurePosixPath(m.name)) for m in members}:
        yield Untested("the manifest: none at the root, which only this project's servers ask for")


def _load_under(client: Client, name: str, subject: Subject) -> Findings:
    answer = load(client, name, subject.models[0].url)
    if answer.status == 507:
        yield Untested(f"the name '{name}', as there is no memory for one more model (507)")
    elif answer.status != 200:
        yield Wrong(f"Loading under the name '{name}' is answered {describe(answer)}.")
    else:
        if subject.samples:
            sample = subject.samples[0]
            answer = client.post(invoke_path(name), sample.body, sample.content_type)
            if answer.status != 200:
                yield Wrong(f"The model '{name}' is loaded, but invoking it: {describe(answer)}.")
        if unload(client, name).status != 200:
            yield Wrong(f"The model '{name}' is loaded, but cannot be unloaded.")


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of everything in a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        stat = path.stat()
        found[str(path.relative_to(folder))] = (stat.st_size, stat.st_mtime_ns)
    return found
