"""``workbench recipes list|show|validate|schema``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.output import print_json, print_table
from workbench.cli.running import RECIPE, SET
from workbench.errors import ExitCode, WorkbenchError

app = typer.Typer(no_args_is_help=True, help="Find, read and check recipes.")


@app.command("list")
def list_recipes(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the shipped recipes."""
    from workbench.recipe import load_recipe
    from workbench.shipped import shipped

    files = sorted(shipped("recipes").glob("*.yaml"))
    recipes = [load_recipe(file).recipe for file in files]
    if as_json:
        print_json([{"name": r.name, "description": r.description} for r in recipes])
        return
    rows = [
        (r.name, str(r.model), r.task.name, ", ".join(r.variants), r.description) for r in recipes
    ]
    print_table("Shipped recipes", ("name", "model", "task", "variants", "description"), rows)


@app.command()
def show(recipe: RECIPE) -> None:
    """Print a recipe's file, to copy and change it."""
    from workbench.shipped import find_recipe
    from workbench.yaml_source import read_yaml

    path = find_recipe(recipe)
    read_yaml(path)
    typer.echo(path.read_text(encoding="utf-8"), nl=False)


@app.command(epilog="Example: workbench recipes validate recipes/*.yaml")
def validate(
    recipes: Annotated[list[str], typer.Argument(help="Recipe files or names.")],
    overrides: SET = None,
) -> int:
    """Check recipes without running them: keys, steps, chains, gates."""
    from workbench.recipe import load_recipe
    from workbench.resolve import check
    from workbench.shipped import find_recipe

    faults: list[WorkbenchError] = []
    for name in recipes:
        try:
            check(load_recipe(find_recipe(name), overrides=tuple(overrides or ())))
            typer.echo(f"{name}: valid")
        except WorkbenchError as error:
            faults.append(error)
            typer.echo(f"{name}: {error}", err=True)
    return int(faults[0].exit_code if faults else ExitCode.OK)


@app.command()
def schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it to a file.")
    ] = None,
) -> None:
    """Print the JSON Schema of recipes, for editors that complete and check YAML.

    In VS Code's YAML extension: # yaml-language-server: $schema=recipe.schema.json
    """
    import json

    from workbench.artifact import write_atomic
    from workbench.resolve import recipe_schema

    text = json.dumps(recipe_schema(), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        typer.echo(text, nl=False)
    else:
        write_atomic(output, text)
        typer.echo(f"wrote {output}")
