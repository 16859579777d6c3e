"""Every tutorial is run as it is written, and prints what it says it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import needs
from tests.docs.blocks import compare, read, run

DOCS = Path(__file__).parents[2] / "docs"
NEEDS = {
    "shrink-a-classifier": ("digit-recognizer-py", "mlxtend", "onnx-server"),
    "twenty-models": ("mlxtend", "boto3", "onnx-server"),
    "price-a-portfolio": (),
    "gate-a-pull-request": ("digit-recognizer-py", "mlxtend"),
}


def marked(name: str) -> object:
    return pytest.param(name, marks=[pytest.mark.slow, *map(needs, NEEDS[name])])


@pytest.mark.parametrize("name", map(marked, NEEDS))
def test_a_tutorial_does_what_it_says(name, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    run(DOCS / "tutorials" / f"{name}.md", folder, seconds=400)


@needs("digit-recognizer-py")
@needs("mlxtend")
@needs("onnx-server")
def test_the_errors_of_the_troubleshooting_page_are_those_that_come(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    run(DOCS / "troubleshooting.md", folder, seconds=300)


def test_every_tutorial_is_run():
    pages = {page.stem for page in (DOCS / "tutorials").glob("*.md")} - {"index"}
    assert pages == set(NEEDS)


@pytest.mark.parametrize("name", NEEDS)
def test_every_tutorial_shows_an_output(name):
    assert any(block.shown for block in read(DOCS / "tutorials" / f"{name}.md").blocks)


def test_a_shown_line_that_was_not_printed_fails():
    compare("size  1.6 MB …\nend", "size 1.6 MB (26%)\nmore\nend", varies=False, where="page:1")
    compare("took 1.5 s", "took 12 s", varies=True, where="page:1")
    for shown, varies in (
        ("size 1.7 MB …", False),
        ("end\nsize 1.6 MB …", False),
        ("s 1 kB", True),
    ):
        with pytest.raises(AssertionError, match="page:1"):
            compare(shown, "size 1.6 MB (26%)\nend", varies=varies, where="page:1")


def test_a_block_that_fails_names_its_line(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("text\n\n```bash\ntrue\n```\n\n```bash\necho no; false\n```\n")
    folder = tmp_path / "work"
    folder.mkdir()
    with pytest.raises(AssertionError, match=r"page.md:7: exit code 1\nno"):
        run(page, folder, seconds=60)
