"""The region of another provider that stands for the case's region, which is named as AWS names it.

Only regions with a known price are here; a name that is not in the table is taken as it is, so
that the other provider's own names may be given, with prices of one's own.
"""

from __future__ import annotations

GOOGLE = {
    "us-east-1": "us-central1",
    "us-east-2": "us-central1",
    "us-west-1": "us-central1",
    "us-west-2": "us-central1",
    "eu-central-1": "europe-west3",
}


def google(region: str) -> str:
    """The region of Google Cloud whose price is taken."""
    return GOOGLE.get(region, region)
