"""``workbench predict``: ask a model wherever it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from workbench.errors import ExitCode, InputError

EXAMPLES = (
    "workbench predict http://localhost:8080 request.json",
    "workbench predict runs/minilm-int8:int8 --text 'A sentence.'",
    "workbench predict minilm-int8 photo.jpg --region eu-west-1",
)


def add(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(epilog="\n\n".join(("Examples:", *EXAMPLES)))(predict)


def predict(
    target: Annotated[
        str, typer.Argument(help="A URL, RUN:VARIANT or an artifact, or an endpoint's name.")
    ],
    files: Annotated[
        list[Path] | None, typer.Argument(help="Requests; the ending tells the content type.")
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option("--text", help="A text instead of a file; repeatable.")
    ] = None,
    content_type: Annotated[
        str | None, typer.Option("--content-type", help="Of the files.")
    ] = None,
    accept: Annotated[
        str, typer.Option("--accept", help="Content type of the answer.")
    ] = "application/json",
    model: Annotated[
        str | None, typer.Option("--model", help="Target model, where there are many.")
    ] = None,
    region: Annotated[str, typer.Option(help="AWS region of an endpoint.")] = "us-east-1",
) -> int:
    """Ask a model wherever it is; each answer goes to standard output, on a line of its own."""
    import json
    from contextlib import ExitStack

    from workbench.deploy.asking import Asker, EndpointAsker, Question, UrlAsker, asked_here
    from workbench.deploy.asking import question as question_of
    from workbench.deploy.resources import Clients
    from workbench.packaging.sources import find_sources

    questions = [question_of(file, content_type, accept) for file in files or ()]
    if text:
        body = json.dumps({"instances": text}).encode()
        questions.append(Question(body, "application/json", accept))
    if not questions:
        raise InputError("There is nothing to ask.", hint="Give a file, or --text.")
    with ExitStack() as stack:
        asker: Asker
        if target.startswith(("http://", "https://")):
            asker = UrlAsker(target, model)
        elif Path(target.partition(":")[0]).exists():
            (source,) = find_sources([target])
            asker = stack.enter_context(asked_here(source.artifact))
        else:
            asker = EndpointAsker(target, Clients(region), target=model)
        for question in questions:
            answer = asker.ask(question)
            sys.stdout.buffer.write(answer.rstrip(b"\n") + b"\n" if _is_text(answer) else answer)
            sys.stdout.buffer.flush()
    return int(ExitCode.OK)


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
