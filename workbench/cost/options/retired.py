"""Options that guides still name and that no new endpoint can have."""

from __future__ import annotations

from typing import ClassVar

from workbench.cost.options._retired import Retired


class ElasticInference(Retired):
    """Elastic Inference accelerator beside an instance."""

    name: ClassVar[str] = "elastic-inference"
    why: ClassVar[str] = (
        "AWS takes no new customers for Elastic Inference since 2023-04-15 (AWS SDK "
        "documentation of elastic-inference)."
    )


class Neo(Retired):
    """SageMaker Neo, a compiled model on an instance."""

    name: ClassVar[str] = "neo"
    why: ClassVar[str] = (
        "SageMaker Neo compiles ONNX 1.7 or earlier, for image classification and SVM only (AWS "
        "documentation, neo-supported-cloud), so not the graphs that the workbench writes; what it "
        "compiles is billed as the instance it runs on."
    )
