"""An execution role for a job, for as long as the job runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from workbench.deploy.action import Action
from workbench.deploy.deployment import TAG
from workbench.deploy.resources import Clients, is_absent
from workbench.deploy.role import TRUST, folder_permissions
from workbench.deploy.sending import send
from workbench.errors import InputError

POLICY = "workbench"


@contextmanager
def temporary_role(
    name: str, folder: str, clients: Clients, say: Callable[[str], None]
) -> Iterator[str]:
    """The ARN of a role that may read and write one folder, pull images and write logs.

    Args:
        name: of the role, which is taken away at the end.
        folder: bucket and prefix, with a star.
        clients: boto3's.
        say: is told what could not be taken away.

    Raises:
        InputError: AWS refuses to make it.
    """
    create = {
        "AssumeRolePolicyDocument": json.dumps(TRUST, sort_keys=True),
        "Description": f"Execution role of the job {name}",
        "Tags": [{"Key": TAG, "Value": name}],
    }
    policy = json.dumps(folder_permissions([folder]), sort_keys=True)
    try:
        made = send(_action(name, "create_role", create), clients)
    except InputError as error:  # refused: there is none
        error.hint = f"{error.hint or ''} Give the ARN of one that there is: --role.".strip()
        raise
    except BaseException:  # a call that is cut off may have been carried out
        _remove(name, clients, say)
        raise
    try:
        allow = {"PolicyName": POLICY, "PolicyDocument": policy}
        send(_action(name, "put_role_policy", allow), clients)
        yield str(made["Role"]["Arn"])
    finally:
        _remove(name, clients, say)


def _action(name: str, operation: str, more: dict[str, Any]) -> Action:
    return Action(kind="role", name=name, service="iam", operation=operation,
                  parameters={"RoleName": name, **more})  # fmt: skip


def _remove(name: str, clients: Clients, say: Callable[[str], None]) -> None:
    for operation, more in (("delete_role_policy", {"PolicyName": POLICY}), ("delete_role", {})):
        try:
            getattr(clients("iam"), operation)(RoleName=name, **more)
        except Exception as error:  # botocore makes its exception classes at run time
            if not is_absent(error):
                say(f"the role {name} could not be removed: {error}")
