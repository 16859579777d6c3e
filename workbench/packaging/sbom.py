"""The software bill of materials: CycloneDX 1.6, by cyclonedx-python-lib."""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime

from workbench.packaging.context import SERVER, locked_requirements, server_version
from workbench.packaging.sources import Source

NAMESPACE = uuid.UUID("5bd7c0b8-6c3b-5d2e-9c3f-0d6ad1a4c5f1")
"""Of our serial numbers: a fixed random number, so that equal contents get equal ones."""


def sbom(name: str, sources: Sequence[Source], digest: str) -> str:
    """The bill of a package as JSON: models, server, wheels; the same input gives the same text.

    What lies in the image below the wheels (Debian's packages) is listed in the image itself, in
    ``var/lib/dpkg/status.d``.

    Args:
        name: the package's.
        sources: its models.
        digest: SHA-256 of what the package holds; the serial number is made of it.
    """
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.license import LicenseExpression
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion
    from packageurl import PackageURL

    def hashed(digests: Sequence[str]) -> list[HashType]:
        return [HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in digests]

    bom = Bom(serial_number=uuid.uuid5(NAMESPACE, digest))
    bom.metadata.timestamp = datetime.fromtimestamp(0, UTC)  # the content decides, not the clock
    subject = Component(name=name, type=ComponentType.CONTAINER, bom_ref=f"package:{name}")
    bom.metadata.component = subject
    server = Component(
        name=SERVER,
        version=server_version(),
        type=ComponentType.APPLICATION,
        bom_ref=SERVER,
        licenses=[LicenseExpression("Apache-2.0")],
    )
    wheels = [
        Component(
            name=wheel,
            version=version,
            type=ComponentType.LIBRARY,
            bom_ref=f"{wheel}=={version}",
            purl=PackageURL("pypi", name=wheel, version=version),
            hashes=hashed(digests),
        )
        for wheel, version, digests in locked_requirements()
    ]
    models = [
        Component(
            name=source.name,
            type=ComponentType.MACHINE_LEARNING_MODEL,
            bom_ref=f"model:{source.name}",
            hashes=hashed([source.artifact.digest]),
            properties=[
                Property(name=f"workbench:file:{file}", value=f"sha256:{record.sha256}")
                for file, record in sorted(source.artifact.manifest.files.items())
            ],
        )
        for source in sources
    ]
    for component in (server, *wheels, *models):
        bom.components.add(component)
    bom.register_dependency(subject, [server, *models])
    bom.register_dependency(server, wheels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)
