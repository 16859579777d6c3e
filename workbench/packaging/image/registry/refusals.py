"""What a registry's refusal means and how to mend it.

Source: the error codes of the OCI distribution-spec 1.1 and of Docker's registry API.
"""

from __future__ import annotations

import json

from workbench.errors import InputError, StepError, WorkbenchError
from workbench.packaging.image.registry.ecr import is_ecr
from workbench.packaging.image.registry.references import Reference

SHOWN = 300
"""Characters of a registry's message that are shown."""


def errors_in(body: bytes) -> list[tuple[str, str]]:
    """Codes and messages of a registry's JSON; none if it is something else."""
    try:
        found = json.loads(body)["errors"]
        return [(str(e.get("code", "")), str(e.get("message", ""))) for e in found]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def said(body: bytes) -> str:
    """What the body says, in one line that is safe to print; it ends like a sentence."""
    errors = errors_in(body)
    if errors:
        text = "; ".join(": ".join(filter(None, pair)) for pair in errors)
    else:
        text = body.decode("utf-8", "replace")
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if not line:
        return "no message."
    short = line if len(line) <= SHOWN else f"{line[:SHOWN]}…"
    return short if short.endswith((".", "!", "?", "…")) else f"{short}."


def refusal(status: int, body: bytes, reference: Reference, doing: str, who: str) -> WorkbenchError:
    """The error for an answer that is not what was asked for; ``doing`` as ``push its layers``."""
    codes = {code for code, _ in errors_in(body)}
    message = f"{reference.registry} does not let {who} {doing}: {said(body)}"
    if status == 401:
        return InputError(
            f"{reference.registry} refuses {who}: {said(body)}",
            hint=f"Log in anew: docker login {reference.registry}",
        )
    if status == 403 or "DENIED" in codes:
        return InputError(
            message,
            hint="Ask for the right to do it, check the repository's name, or log in as somebody "
            "else; a token of ECR lasts for 12 hours.",
        )
    if "TAG_INVALID" in codes or "immutable" in said(body).lower():
        return InputError(message, hint="Push under a tag that is not there yet.")
    if "NAME_INVALID" in codes:
        return InputError(message, hint=f"'{reference.repository}' is no name it takes.")
    if "NAME_UNKNOWN" in codes or (status == 404 and "MANIFEST_UNKNOWN" not in codes):
        make = "create=True makes it" if is_ecr(reference.registry) else "make it there first"
        return InputError(
            f"There is no repository {reference.name}: {said(body)}",
            hint=f"Check the name; where repositories are not made by a push, {make}.",
        )
    if status == 404:
        return InputError(
            f"There is no image {reference}: {said(body)}", hint="Check the tag or the digest."
        )
    if status in (413, 507) or "quota" in said(body).lower():
        return StepError(message, hint="Make space in the registry, or raise its limit.")
    if status == 429:
        return StepError(message, hint="Wait a while, or log in: more is allowed to known users.")
    if codes & {"MANIFEST_INVALID", "UNSUPPORTED"} or status == 415:
        return StepError(
            message, hint="It may take the other form only: push as 'docker' or as 'oci'."
        )
    return StepError(f"{reference.registry} fails to {doing}: {status} {said(body)}")
