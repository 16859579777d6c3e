"""Pushes an image: the blobs that the registry lacks, then the manifest.

Source: OCI distribution-spec 1.1, "Push".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from workbench.errors import CorruptError, InputError
from workbench.packaging.image.parts import MEDIA_TYPES, Form, Image, digest_of
from workbench.packaging.image.registry.client import Client
from workbench.packaging.image.registry.credentials import Credentials
from workbench.packaging.image.registry.ecr import create_repository, is_ecr
from workbench.packaging.image.registry.meter import Meter
from workbench.packaging.image.registry.references import Reference, parse_reference
from workbench.packaging.image.registry.transport import Body, Transport, file_blocks
from workbench.packaging.image.registry.uploads import Content, Upload, is_there
from workbench.progress import Progress

DOING = "push the image"


def push(
    image: Image,
    reference: Reference | str,
    *,
    form: Form = "docker",
    progress: Progress | None = None,
    credentials: Credentials | None = None,
    insecure: bool = False,
    create: bool = False,
) -> str:
    """Push an image and return its digest in the registry, which is the image's own.

    Args:
        image: what to push.
        reference: where to; with a digest it must be the image's.
        form: Docker schema 2, which SageMaker wants, or OCI.
        progress: is told of one piece of work, in bytes.
        credentials: who asks; none: they are looked for when the registry asks for them.
        insecure: speak plain HTTP to a registry that is not on this machine.
        create: make the repository where that must be done first, which is in ECR.

    Raises:
        InputError: the name, the credentials, or the right to push.
        MissingError: credentials, boto3, the network or trust in the certificate is missing.
        StepError: the registry fails, or the connection breaks again and again.
        CorruptError: a blob has changed, or the registry stored something else.
    """
    where = parse_reference(reference) if isinstance(reference, str) else reference
    digest = image.digest(form)
    if where.digest not in (None, digest):
        raise InputError(
            f"The image is {digest}, not what '{where}' names.", hint="Push it to a tag."
        )
    if create and is_ecr(where.registry):
        create_repository(where)
    client = Client(
        where, push=True, credentials=credentials, transport=Transport(insecure=insecure)
    )
    meter = Meter(progress, f"push {where}")
    contents = list(_contents(image))
    lacking = [content for content in contents if not is_there(client, content.digest)]
    meter.expect(sum(content.size for content in lacking))
    for content in lacking:
        Upload(client, content, meter.told).run()
        meter.blob_done(content.size)
    _put_manifest(client, image, form)
    meter.finish(f"sent, {len(contents) - len(lacking)} of {len(contents)} blobs were there")
    return digest


def _contents(image: Image) -> Iterator[Content]:
    """Each blob once, the layers first."""
    seen = set()
    for layer in image.layers:
        blob = layer.blob
        if blob.digest not in seen:
            seen.add(blob.digest)
            yield _of_file(f"the layer '{layer.title}'", blob.digest, blob.size, blob.path)

    def config(offset: int, length: int) -> Iterator[bytes]:
        return iter([image.config[offset : offset + length]])

    yield Content("the configuration", image.config_digest, len(image.config), config)


def _of_file(title: str, digest: str, size: int, path: Path) -> Content:
    return Content(title, digest, size, lambda offset, length: file_blocks(path, offset, length))


def _put_manifest(client: Client, image: Image, form: Form) -> None:
    manifest, digest = image.manifest(form), image.digest(form)
    where = client.reference
    url = client.url(f"manifests/{where.tag or digest}")
    kind = MEDIA_TYPES[form]["manifest"]
    # Where tags cannot be changed, the same push again must not be a failure.
    there = client.ask("HEAD", url, {"Accept": kind})
    there.close()
    if there.status == 200 and there.header("Docker-Content-Digest") == digest:
        return
    answer = client.ask("PUT", url, {"Content-Type": kind}, Body.of(manifest))
    if answer.status not in (200, 201, 202):
        raise client.refuse(answer, DOING)
    answer.close()
    stored = answer.header("Docker-Content-Digest") or _stored_digest(client, url, form)
    if stored != digest:
        raise CorruptError(
            f"{where.registry} stored the image as {stored}, but it is {digest}.",
            hint="Pull it by its digest to see what is there; a proxy may rewrite manifests.",
        )


def _stored_digest(client: Client, url: str, form: Form) -> str:
    """For registries that do not say it in their answer to the push."""
    answer = client.ask("GET", url, {"Accept": MEDIA_TYPES[form]["manifest"]})
    if answer.status != 200:
        raise client.refuse(answer, "read the image back")
    return digest_of(answer.read())
