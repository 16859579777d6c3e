"""The archives of a deployment: packed where they are not yet, named by their content."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.artifact import disk_errors, file_digest
from workbench.deploy.deployment import HostedModel
from workbench.packaging.sources import Source
from workbench.serving import pack_artifact
from workbench.store import Store


def hosted(sources: Sequence[Source]) -> tuple[HostedModel, ...]:
    """Each model with its archive, which is kept in the store's folder by its artifact's digest.

    Raises:
        MissingError: the disk is full or the folder cannot be written.
    """
    folder = Store().root / "archives"
    models = []
    for source in sources:
        archive = folder / f"{source.artifact.digest}.tar.gz"
        if not archive.exists():
            with disk_errors(archive):
                folder.mkdir(parents=True, exist_ok=True)
            pack_artifact(source.artifact, archive)
        models.append(
            HostedModel(
                name=source.name,
                archive=archive,
                sha256=file_digest(archive),
                digest=source.artifact.digest,
                run=source.run.name if source.run else None,
                variant=source.result.name if source.result else None,
            )
        )
    return tuple(models)
