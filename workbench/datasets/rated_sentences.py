"""Rated sentences: 23,700 from film reviews, tweets, product reviews and newspaper editorials.

Hutto and Gilbert (2014), VADER: a parsimonious rule-based model for sentiment analysis of social
media text. To learn from without labels, or to judge by which of two sentences is the kinder.
"""

from __future__ import annotations

from workbench.datasets import Dataset, Split
from workbench.datasets._packages import sdist_file
from workbench.datasets._split import CALIBRATION, STATED, split_by_hash
from workbench.errors import DataError

SOURCE = "vaderSentiment==3.3.2"
ARCHIVE = "additional_resources/hutto_ICWSM_2014.tar.gz"
DOMAINS = {
    "film": "movieReviewSnippets",
    "tweet": "tweets",
    "product": "amazonReviewSnippets",
    "editorial": "nytEditorialSnippets",
}


def load() -> Dataset:
    """Sentences as texts; labels are ``positive`` and ``negative``, by the raters' mean.

    Raises:
        MissingError: the source distribution of vaderSentiment is not downloaded.
    """
    found: dict[str, tuple[str, str]] = {}
    for domain, name in DOMAINS.items():
        content = sdist_file(SOURCE, ARCHIVE, f"hutto_ICWSM_2014/{name}_GroundTruth.txt")
        for line in content.decode("utf-8", errors="replace").splitlines():
            number, rating, text = [*line.split("\t", 2), "", ""][:3]
            if not text.strip():
                continue
            try:
                label = "positive" if float(rating) > 0 else "negative"
            except ValueError as error:
                raise DataError(f"{SOURCE}: '{line[:60]}' has no rating.") from error
            found.setdefault(text.strip(), (label, f"{domain} {number}"))
    samples = Split(
        list(found), [label for label, _ in found.values()], [name for _, name in found.values()]
    )
    calibration, evaluation = split_by_hash(samples.hashes, CALIBRATION)
    return Dataset(
        name="rated-sentences",
        licence="MIT (the package's)",
        source=f"Hutto and Gilbert 2014, from the source distribution of {SOURCE}; {STATED}.",
        evaluation=samples.take(evaluation),
        calibration=samples.take(calibration),
    )
