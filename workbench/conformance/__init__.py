"""The conformance suite of the hosting contract: clauses C1 to C30, against anybody's container.

``check`` judges a ``Subject``: a server, an image, a model archive, or several of them at once.
Every clause has a result: pass, fail with a sentence, or not tested with the reason.
"""

from workbench.conformance.clause import Outcome, Result
from workbench.conformance.subject import Image, ModelFolder, Sample, Subject
from workbench.conformance.suite import check, failed

__all__ = ["Image", "ModelFolder", "Outcome", "Result", "Sample", "Subject", "check", "failed"]
