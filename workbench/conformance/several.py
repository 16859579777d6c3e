"""Chapter 8 of the contract: several containers behind one endpoint (C26, C27)."""

from __future__ import annotations

from workbench.conformance.clause import Findings, Note, NotTestedError, Untested, Wrong, clause
from workbench.conformance.subject import Subject


@clause("C26", "The server listens on SAGEMAKER_BIND_TO_PORT", needs=("process",))
def bind_to_port(subject: Subject) -> Findings:
    """Start one that learns its port from the variable alone."""
    assert subject.launcher is not None
    variables = {"SAGEMAKER_SAFE_PORT_RANGE": "20000-20100"}
    try:
        running = subject.launcher.start(variables, bind_port=True)
    except TimeoutError as error:
        yield Wrong(f"With SAGEMAKER_BIND_TO_PORT the server is not found at that port: {error}.")
        return
    running.kill()
    if subject.image is None:
        yield Untested("the label accept-bind-to-port, without the image")
    elif subject.image.labels.get("com.amazonaws.sagemaker.capabilities.accept-bind-to-port") != (
        "true"
    ):
        yield Note("Without the label accept-bind-to-port no pipeline takes the image.")


@clause("C27", "Inference components ask for the same container contract")
def inference_components(_: Subject) -> Findings:
    """Their sizes and copies are the platform's."""
    raise NotTestedError("sizes and copies are the platform's; the container contract is the same")
