"""The server's README names what there is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import onnx_server
import pytest
from onnx_server.codecs import DECODERS
from onnx_server.settings import Settings

README = (Path(onnx_server.__file__).parents[1] / "README.md").read_text()
ALIASES = {"application/x-ndjson", "application/jsonl", "application/x-parquet"}


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Settings)])
def test_every_setting_is_in_the_readme(field):
    assert f"`{field.upper()}`" in README


@pytest.mark.parametrize("media", sorted(set(DECODERS) - ALIASES))
def test_every_content_type_is_in_the_readme(media):
    assert f"`{media}`" in README
