"""From what a user names to a subject: a URL, an archive, or an image that an engine knows."""

from __future__ import annotations

import json
import shlex
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.conformance.image_archive import read_image
from workbench.conformance.launchers import ContainerLauncher, load_archive, run_engine
from workbench.conformance.samples import samples_from_manifest
from workbench.conformance.subject import Image, Mode, ModelFolder, Sample, Subject
from workbench.errors import InputError, MissingError, StepError

ENGINES = ("podman", "docker")
MULTI_MODEL = {"SAGEMAKER_MULTI_MODEL": "true"}


@dataclass(frozen=True)
class Options:
    """What the user says beside the target.

    ``model`` is the folder of the model that the server has, ``models`` one that holds many; a
    server that is run here sees them at /opt/ml/model and /opt/ml/models.
    """

    mode: Mode = "unknown"
    samples: tuple[Sample, ...] = ()
    model: Path | None = None
    models: Path | None = None
    run: bool = False
    run_arguments: str = ""


@contextmanager
def open_target(target: str, options: Options) -> Iterator[Subject]:
    """The subject that a target names; what was started for it is ended afterwards.

    Raises:
        InputError: the target, the model or the models are not there or not what they should be.
        MissingError: an engine is needed and there is none.
        StepError: the engine or the image does not start.
    """
    base = Subject(mode=options.mode, samples=options.samples or _samples(options.model))
    if target.startswith(("http://", "https://")):
        yield replace(base, url=target, models=_folders(options.models, None))
        return
    path = Path(target)
    if path.is_dir():
        raise InputError(f"'{target}' is a folder.", hint="Give an archive, an image or a URL.")
    if path.is_file():
        if not _holds_image(path):
            samples = base.samples or samples_from_manifest(_manifest_in(path))
            yield replace(base, archive=path, samples=samples)
            return
        image = read_image(path)
        name = load_archive(find_engine(), path) if options.run else None
    else:
        if "/" in target and target.endswith((".tar", ".gz", ".tgz")):
            raise InputError(f"There is no file '{target}'.")
        image, name = _image_of_engine(find_engine(), target), target
    if options.run and name is not None:
        with _running(replace(base, image=image), name, options) as subject:
            yield subject
    else:
        yield replace(base, image=image)


def find_engine() -> str:
    """The container engine of this machine.

    Raises:
        MissingError: neither podman nor docker is there.
    """
    for engine in ENGINES:
        if shutil.which(engine):
            return engine
    raise MissingError(
        "There is neither podman nor docker on this machine.",
        hint="Save the image where there is one, and give the archive.",
    )


@contextmanager
def _running(subject: Subject, name: str, options: Options) -> Iterator[Subject]:
    arguments = shlex.split(options.run_arguments)
    mode: Mode = "single" if options.mode == "unknown" else options.mode
    if options.model is not None:
        arguments += ["--volume", f"{options.model.resolve()}:/opt/ml/model:ro"]
    if options.models is not None:
        arguments += ["--volume", f"{options.models.resolve()}:/opt/ml/models:ro"]
    if mode == "multi":
        arguments += [w for k, v in MULTI_MODEL.items() for w in ("--env", f"{k}={v}")]
    launcher = ContainerLauncher(find_engine(), name, arguments)
    try:
        running = launcher.start({})
    except TimeoutError as error:
        raise StepError(f"'{name} serve' does not serve: {error}.") from None
    try:
        yield replace(
            subject,
            url=running.url,
            mode=mode,
            launcher=launcher,
            models=_folders(options.models, "/opt/ml/models"),
        )
    finally:
        running.kill()


def _samples(model: Path | None) -> tuple[Sample, ...]:
    if model is None:
        return ()
    try:
        return samples_from_manifest(json.loads((model / "manifest.json").read_bytes()))
    except (OSError, ValueError) as error:
        raise InputError(f"'{model}' has no manifest.json that can be read: {error}.") from None


def _folders(folder: Path | None, seen_as: str | None) -> tuple[ModelFolder, ...]:
    """The models in a folder, each directly in its own folder or in ``model`` inside that."""
    if folder is None:
        return ()
    if not folder.is_dir():
        raise InputError(f"There is no folder '{folder}'.")
    root = Path(seen_as) if seen_as else folder.resolve()
    found = []
    for path in sorted(p for p in folder.iterdir() if p.is_dir()):
        url = root / path.name / "model" if (path / "model").is_dir() else root / path.name
        found.append(ModelFolder(path.name, str(url)))
    if not found:
        raise InputError(f"The folder '{folder}' holds no model's folder.")
    return tuple(found)


def _holds_image(path: Path) -> bool:
    """Whether a tar is an image: both kinds have a manifest.json, an image's is a list."""
    try:
        with tarfile.open(path) as tar:
            names = {name.removeprefix("./"): name for name in tar.getnames()}
            if "oci-layout" in names or "index.json" in names:
                return True
            if "manifest.json" not in names:
                return False
            file = tar.extractfile(names["manifest.json"])
            return file is not None and isinstance(json.load(file), list)
    except (tarfile.TarError, OSError, EOFError, ValueError, KeyError):
        return False  # C8 says what is wrong with it.


def _manifest_in(path: Path) -> dict[str, Any]:
    try:
        with tarfile.open(path) as tar:
            names = {name.removeprefix("./"): name for name in tar.getnames()}
            file = tar.extractfile(names["manifest.json"])
            raw = json.load(file) if file else None
    except (tarfile.TarError, OSError, EOFError, ValueError, KeyError):
        return {}  # C8 says what is wrong with it.
    return raw if isinstance(raw, dict) else {}


def _image_of_engine(engine: str, name: str) -> Image:
    try:
        inspected = json.loads(run_engine([engine, "image", "inspect", name]))[0]
    except StepError:
        raise InputError(
            f"There is no file and no image '{name}'.", hint=f"'{engine} images' lists the images."
        ) from None
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "image.tar"
        run_engine([engine, "image", "save", "--output", str(archive), name])
        return read_image(archive, inspected.get("ManifestType"))
