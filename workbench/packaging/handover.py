"""The README of a package: what whoever receives it needs to know."""

from __future__ import annotations

from collections.abc import Iterator

from workbench.packaging.pipeline import BETWEEN
from workbench.packaging.records import Package, PackagedModel
from workbench.records import Latency, Manifest
from workbench.serving.examples import curl


def readme(package: Package, first: Manifest) -> str:
    """The README as Markdown; ``first`` is the first model's manifest, for an example request."""
    return "\n".join([*_head(package), *_figures(package), *_how(package, first), ""])


def _head(package: Package) -> Iterator[str]:
    many = len(package.models)
    what = {
        "single": "One model behind one endpoint.",
        "multi": f"{many} models behind one multi-model endpoint.",
        "pipeline": f"{many} models as the stages of an inference pipeline, in this order.",
    }[package.endpoint]
    yield f"# {package.name}\n"
    yield f"{what} Made by workbench {package.workbench}, with onnx_server {package.server}."
    yield ""
    yield "| model | from | archive | digest |"
    yield "| --- | --- | --- | --- |"
    for model in package.models:
        origin = f"{model.run}, {model.variant}" if model.run else "an artifact without a run"
        yield f"| {model.name} | {origin} | {model.archive} | {model.digest[:12]} |"
    yield ""
    for model in package.models:
        inputs = "; ".join(map(str, model.signature.inputs))
        outputs = "; ".join(map(str, model.signature.outputs))
        yield f"`{model.name}` takes {inputs} and gives {outputs}."
    yield ""


def _figures(package: Package) -> Iterator[str]:
    measured = [model for model in package.models if model.measurement is not None]
    yield "## Measured"
    if not measured:
        yield "Nothing was measured: no model belongs to a run.\n"
        return
    yield "| model | MB | quality | p50 ms | setting | peak MB | gates |"
    yield "| --- | ---: | --- | ---: | --- | ---: | --- |"
    for model in measured:
        yield _figure(model)
    yield ""
    for model in measured:
        if model.machine is not None:
            yield f"`{model.name}` was measured on {model.machine.cpu}, {model.measured}."
    for model in package.models:
        if (cost := model.cost) is not None:
            low, mid, high = cost.usd
            yield (
                f"`{model.name}`: {mid:,.2f} USD a month ({low:,.2f}–{high:,.2f}) as {cost.option} "
                f"on {cost.place} in {cost.region}, for {cost.traffic}; "
                f"{'measured there' if cost.measured else 'a prediction'}: {cost.basis}."
            )
    yield ""


def _figure(model: PackagedModel) -> str:
    assert model.measurement is not None
    footprint, quality = model.measurement.footprint, model.measurement.quality
    score = "–"
    if quality is not None and quality.score is not None:
        interval = quality.score
        score = f"{quality.metric} {interval.value:.4f} ({interval.low:.4f}–{interval.high:.4f})"
    first: Latency | None = next(iter(model.measurement.latency), None)
    p50 = f"{first.p50_ms.value:.2f}" if first else "–"
    setting = str(first.setting) if first else "–"
    memory = footprint.peak_memory_bytes
    outcomes = [str(verdict.outcome.value) for verdict in model.gates]
    cells = (
        model.name,
        f"{footprint.size_bytes / 1e6:.1f}",
        score,
        p50,
        setting,
        f"{memory / 1e6:.0f}" if memory else "–",
        ", ".join(f"{outcomes.count(o)} {o}" for o in sorted(set(outcomes))) or "none",
    )
    return f"| {' | '.join(cells)} |"


def _how(package: Package, manifest: Manifest) -> Iterator[str]:
    image = package.name
    yield "## Build the image"
    yield "The image holds the server and no model; `docker` may be `podman`, or `buildah bud`."
    yield "```"
    yield f"docker build -f context/single_model/Dockerfile -t {image} context"
    if package.endpoint == "multi":
        yield f"docker build -f context/multi_model/Dockerfile --build-arg SINGLE={image} \\"
        yield f"  -t {image}-multi context"
    yield "```"
    yield "SageMaker takes Docker schema 2 only: `--format docker` with buildah and podman,"
    yield "`--provenance=false` with docker buildx.\n"
    yield "## Try it"
    yield "```"
    if package.endpoint == "multi":
        first = package.models[0]
        place = f"try/{first.name}/model"
        yield f"mkdir -p {place} && tar -xzf {first.archive} -C {place}"
        yield f'docker run --rm -p 8080:8080 -v "$PWD/try:/opt/ml/models:ro" {image}-multi serve'
        yield "curl localhost:8080/models -H 'Content-Type: application/json' \\"
        yield (
            f'  -d \'{{"model_name": "{first.name}", "url": "/opt/ml/models/{first.name}/model"}}\''
        )
        yield curl(f"http://localhost:8080/models/{first.name}/invoke", manifest)
    else:
        first = package.models[0]
        yield f"mkdir -p try && tar -xzf {first.archive} -C try"
        yield f'docker run --rm -p 8080:8080 -v "$PWD/try:/opt/ml/model:ro" {image} serve'
        yield curl("http://localhost:8080/invocations", manifest)
    yield "```"
    yield f"`workbench verify {image}` checks an image against the hosting contract.\n"
    yield "## On SageMaker"
    if package.endpoint == "multi":
        yield "Upload `models/` to an S3 prefix, and create a model with `Mode: MultiModel`, the"
        yield "image, and the prefix as `ModelDataUrl`. `TargetModel` is the archive's name."
    elif package.endpoint == "pipeline":
        yield "Create a model with a container for each archive, in this order, all with the same"
        yield "image; give all but the last the environment"
        yield f"`{' '.join(f'{k}={v}' for k, v in BETWEEN.items())}`."
    else:
        yield "Upload the archive to S3, and create a model with the image and the archive as"
        yield "`ModelDataUrl`."
    yield ""
    yield "`package.json` has every digest and all figures, `sbom.cdx.json` what is in the image."
