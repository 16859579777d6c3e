"""The page at ``/``: which models there are, their signatures, and a form to try each.

It loads nothing from anywhere else. Its style and script are allowed by their digests, so that a
name of a model could not run code even if it got into the page as markup.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, Literal

from onnx_server import __version__
from onnx_server.openapi import EXAMPLE_TEXTS, example, quoted_path

MODELS = 100
"""Models on the page, at most."""
LABELS = 12
"""Labels shown of a model, at most; the script gets them all to name an answer."""
TYPES = {"image": "image/png,image/jpeg"}


def headers() -> list[tuple[str, str]]:
    """Headers for the page: its type, its policy, and that no other page may frame it."""
    return [
        ("content-type", "text/html; charset=utf-8"),
        ("content-security-policy", f"{_policy()}; frame-ancestors 'none'"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ]


def render(
    models: Sequence[Mapping[str, Any]], mode: Literal["single", "multi"] | None = None
) -> bytes:
    """The page for the loaded models, in UTF-8; ``mode`` is told when it is given."""
    kind = {"single": "one model", "multi": "many models", None: ""}[mode]
    count = f"{len(models)} model{'' if len(models) == 1 else 's'} loaded"
    parts = [_model(i, model, opened=i == 0) for i, model in enumerate(models[:MODELS])]
    if not models:
        parts.append("<p>No model is loaded.</p>")
    if len(models) > MODELS:
        parts.append(f"<p>And {len(models) - MODELS} more.</p>")
    values = {
        "policy": escape(_policy()),
        "title": escape(f"onnx_server · {count}"),
        "summary": escape(" · ".join(filter(None, (f"version {__version__}", kind, count)))),
        "models": "\n".join(parts),
        "style": _asset("page.css"),
        "script": _asset("page.js"),
    }
    # One pass: a value that holds a mark is left as it is.
    html = re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], _asset("page.html"))
    return html.encode("utf-8", "replace")


@cache
def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


@cache
def _policy() -> str:
    def digest(name: str) -> str:
        raw = hashlib.sha256(_asset(name).encode()).digest()
        return f"'sha256-{base64.b64encode(raw).decode()}'"

    return (
        f"default-src 'none'; connect-src 'self'; img-src data:; style-src {digest('page.css')}; "
        f"script-src {digest('page.js')}; base-uri 'none'; form-action 'none'"
    )


def _model(index: int, model: Mapping[str, Any], *, opened: bool) -> str:
    size = f"{model['memory_bytes'] / 1e6:,.1f} MB"
    return f"""<details class="model"{" open" if opened else ""}>
<summary>{escape(model["name"])} <small>{size} in memory</small></summary>
<div class="inside">
{_table("Inputs", model["inputs"])}
{_table("Outputs", model["outputs"])}
{_labels(model["labels"] or ())}
{_form(index, model)}
</div>
</details>"""


def _table(caption: str, tensors: Sequence[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(tensor['name'])}</code></td><td>{escape(tensor['dtype'])}</td>"
        f"<td>{escape(' × '.join(map(str, tensor['shape'])))}</td></tr>"
        for tensor in tensors
    )
    return (
        f'<div class="wide"><table><caption>{caption}</caption><thead><tr><th scope="col">Name</th>'
        f'<th scope="col">Type</th><th scope="col">Shape</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _labels(labels: Sequence[str]) -> str:
    if not labels:
        return ""
    shown = ", ".join(labels[:LABELS]) + (" …" if len(labels) > LABELS else "")
    return f"<p>{len(labels)} labels: {escape(shown)}</p>"


def _form(index: int, model: Mapping[str, Any]) -> str:
    kind = model["preprocess"]
    body = example(model)
    field = f"body-{index}"
    content_type = "application/octet-stream" if kind == "bytes" else ""
    if kind == "text":
        label, control = "Texts, one a line", _textarea(field, "\n".join(EXAMPLE_TEXTS))
    elif kind in ("image", "bytes"):
        label, control = f"File ({kind})", _file(field, TYPES.get(kind, ""))
    elif body is None:
        label, content_type = "Input as a NumPy file (.npy)", "application/x-npy"
        control = _file(field, ".npy")
    else:
        label, control = "Body (JSON)", _textarea(field, json.dumps(body))
    path = quoted_path(model).lstrip(
        "/"
    )  # relative, so that the page works behind a path prefix too
    return f"""<form data-path="{escape(path)}" data-kind="{escape(kind or "tensor")}"
data-type="{content_type}" data-labels="{escape(json.dumps(list(model["labels"] or ())))}">
<label for="{field}">{label}</label>
{control}
<button>Ask {escape(model["name"])}</button>
<output for="{field}" aria-live="polite"></output>
</form>"""


def _textarea(field: str, text: str) -> str:
    return f'<textarea id="{field}" spellcheck="false">\n{escape(text)}</textarea>'


def _file(field: str, accept: str) -> str:
    return f'<input id="{field}" type="file" accept="{accept}">'
