"""One call to AWS, as a plain dictionary that can be reviewed before it is sent."""

from __future__ import annotations

from typing import Any

from workbench.deploy.deployment import Kind
from workbench.records import Record


class Action(Record):
    """One call. ``kind`` and ``name`` say which resource it makes or changes.

    ``operation`` is boto3's name of it; ``parameters`` are what it is given, but that
    ``upload_file`` names a local ``Filename``, and that ``{workbench-from-zero}`` in an alarm
    stands for the ARN that putting that policy returns.
    """

    kind: Kind
    name: str
    service: str
    operation: str
    parameters: dict[str, Any]
