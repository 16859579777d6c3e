"""All pages of the reference, by their place in the site: made when it is built, never stored."""

from __future__ import annotations

import csv
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import workbench.conformance.suite  # declares the clauses
import workbench.cost
import workbench.datasets
from docs._reference.api import api_page
from docs._reference.commands import command_page, commands, summary
from docs._reference.gates import gates_page
from docs._reference.schemas import fields, models_within, prose, table
from workbench.conformance.clause import declared
from workbench.cost import _traffic_shapes
from workbench.cost.catalog.limits import limits
from workbench.cost.options import Option, options
from workbench.cost.plan import Plan
from workbench.cost.profile import ServiceProfile
from workbench.cost.traffic import Traffic
from workbench.deploy.render import renderers
from workbench.models import model_cards
from workbench.plugins import Plugin
from workbench.recipe import Recipe, load_recipe
from workbench.records import Manifest, Run
from workbench.shipped import shipped
from workbench.steps import Step, steps
from workbench.tasks import Task, tasks
from workbench.yaml_source import read_yaml

ROOT = Path(__file__).parents[2]
PRICING = Path(workbench.cost.__file__).parent
SERVER = ROOT / "serving_containers" / "onnx_server" / "README.md"


@dataclass(frozen=True)
class Page:
    """One page: where it is (a path under the site's root), its words in the menu, its Markdown."""

    path: str
    title: str
    text: str


Section = tuple[str, tuple[Page, ...]]


def sections() -> tuple[Section, ...]:
    """The reference: the title of each section with its pages, in the menu's order."""
    return (
        ("Commands", tuple(_command_pages())),
        ("Recipes", (*_recipe_pages(), *_pages("datasets", "Data sets", _datasets))),
        ("Steps", tuple(_plugin_pages("steps", "Steps", steps(), _step))),
        ("Tasks", tuple(_plugin_pages("tasks", "Tasks", tasks(), _task))),
        (
            "Hosting options",
            (
                *_plugin_pages("options", "Hosting options", options(), _option),
                *_pages("options/limits", "Limits of hosting", _limits),
                *_pages("options/transfer", "Other CPUs", _transfer),
                *_pages("options/prices", "Sources of prices", _price_sources),
            ),
        ),
        ("Files", tuple(chain(_record_pages(), _pages("renderings", "Renderings", _renderings)))),
        ("Serving", tuple(chain(_pages("server", "The server", _server), _clause_pages()))),
        ("Python", (Page("reference/python.md", "Python", api_page()),)),
    )


def pages() -> dict[str, Page]:
    """All pages by their path."""
    return {page.path: page for _, section in sections() for page in section}


def _pages(path: str, title: str, make: Callable[[], str]) -> Iterable[Page]:
    yield Page(f"reference/{path}.md", title, make())


# --- commands ----------------------------------------------------------------------------------


def _command_pages() -> Iterable[Page]:
    rows = [(f"[workbench {n}](commands/{n}.md)", summary(n)) for n in commands()]
    text = f"# Commands\n\n{table(('command', 'what it does'), rows)}"
    text += "\nEach has `--help`, and `--json` where a machine reads. "
    text += "[Exit codes](../troubleshooting.md#exit-codes) are the same for all.\n"
    yield Page("reference/commands.md", "All commands", text)
    for name in commands():
        yield Page(f"reference/commands/{name}.md", name, command_page(name))


# --- recipes -----------------------------------------------------------------------------------


def _recipe_pages() -> Iterable[Page]:
    text = f"# Recipe files\n\n{prose(Recipe.__doc__)} What they are for, with examples: "
    text += "[recipes](../recipes.md). What may stand under `task` and in a variant: "
    text += "[tasks](tasks.md), [steps](steps.md). `workbench recipes schema` prints the "
    text += (
        "same as JSON Schema, for editors.\n\n"
        + fields(Recipe, "key")
        + "\n"
        + models_within(Recipe)
    )
    yield Page("reference/recipe.md", "Recipe files", text)
    yield Page("reference/gates.md", "Gates", gates_page())
    yield Page("reference/recipes.md", "Shipped recipes", _shipped())
    rows = [(f"`{n}`", c.title, c.source, c.licence) for n, c in model_cards().items()]
    text = table(("name", "model", "where it comes from", "licence"), rows)
    yield Page("reference/models.md", "Reference models", f"# Reference models\n\n{text}")


def _shipped() -> str:
    parts = ["# Shipped recipes\n\n`workbench run NAME` runs one as it stands.\n"]
    for file in sorted(shipped("recipes").glob("*.yaml")):
        recipe = load_recipe(file).recipe
        parts.append(f"## {recipe.name}\n\n{recipe.description}\n")
        parts.append(f"```yaml\n{file.read_text(encoding='utf-8').strip()}\n```\n")
    return "\n".join(parts)


def _datasets() -> str:
    parts = [
        "# Data sets\n\nNamed data that tasks take; [files of your own](../recipes.md#data) are as "
        "good.\n"
    ]
    for name in workbench.datasets.datasets():
        module = importlib.import_module(f"workbench.datasets.{name.replace('-', '_')}")
        parts.append(f"## {name}\n\n{prose(module.__doc__)}\n")
    return "\n".join(parts)


# --- plug-ins ----------------------------------------------------------------------------------


def _plugin_pages(
    folder: str,
    title: str,
    found: Mapping[str, type[Any]],
    describe: Callable[[type[Any]], Iterable[str]],
) -> Iterable[Page]:
    rows = [(f"[{name}]({folder}/{name}.md)", prose(cls.title())) for name, cls in found.items()]
    text = f"# {title}\n\n{table(('name', 'what it is'), rows)}"
    yield Page(f"reference/{folder}.md", f"All {title.lower()}", text)
    for name, cls in found.items():
        parts = [f"# {name}", prose(cls.__doc__), *describe(cls), _source(cls)]
        yield Page(f"reference/{folder}/{name}.md", name, "\n\n".join(parts) + "\n")


def _options(cls: type[Plugin]) -> Iterable[str]:
    yield "## Options"
    yield fields(cls, "option").strip()
    if nested := models_within(cls):
        yield nested


def _source(cls: type[Any]) -> str:
    return f"<small>Made from `{cls.__module__.replace('.', '/')}.py`.</small>"


def _step(cls: type[Step]) -> Iterable[str]:
    yield f"Takes **{cls.accepts}**, makes **{cls.makes}**."
    if cls.shorthand:
        yield f"A plain text sets `{cls.shorthand}`: `{{{cls.name}: …}}`."
    yield from _options(cls)
    uses = [
        (f"[{recipe.name}](../recipes.md#{_anchor(recipe.name)})", f"`{variant}`", f"`{written}`")
        for file in sorted(shipped("recipes").glob("*.yaml"))
        for recipe in [load_recipe(file).recipe]
        for variant, chain in recipe.variants.items()
        for use in chain
        if use.name == cls.name
        for written in [_written(use.as_written())]
    ]
    if uses:
        yield "## In the shipped recipes"
        yield table(("recipe", "variant", "as written"), uses).strip()


def _written(use: str | dict[str, Any]) -> str:
    """A step as a recipe writes it: YAML on one line."""
    if isinstance(use, dict):
        inner = ", ".join(f"{key}: {_written(value)}" for key, value in use.items())
        return f"{{{inner}}}"
    return str(use)


def _task(cls: type[Task]) -> Iterable[str]:
    figures = ", ".join(f"`{name}`" for name in cls.figures)
    yield f"[Gates](../gates.md) may name {figures}."
    if cls.shorthand:
        yield f"A plain text sets `{cls.shorthand}`: `{{{cls.name}: …}}`."
    yield from _options(cls)


def _option(cls: type[Option]) -> Iterable[str]:
    facts = [
        ("provider", cls.provider),
        ("covered by a SageMaker Savings Plan", _yes(cls.savings_plan)),
        ("reached through SageMaker's runtime", _yes(cls.sagemaker)),
        ("a job, to which no single requests come", _yes(cls.job)),
    ]
    yield table(("", ""), facts).strip()
    yield "## How it is priced"
    said = (
        ("where it could run", cls.places),
        ("what is checked before it is possible", cls.reasons),
        ("what it uses in a month", cls.capacity),
        ("what is billed", cls.bill),
    )
    yield table(("", ""), [(what, _first(method)) for what, method in said]).strip()
    yield (
        "[How capacity is found](../../cost.md#how-capacity-is-found) · "
        "[limits](limits.md) · `workbench cost RUN --requests 2M --explain "
        f"{cls.name}` prints its bill."
    )
    yield from _options(cls)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _first(method: Any) -> str:
    return prose(inspect.getdoc(method)).split("\n\n")[0]


def _limits() -> str:
    parts = [
        "# Limits of hosting\n\nWhat the options are checked against, each with its source. Where "
        "no figure is known none is assumed.\n"
    ]
    for mode, found in limits().items():
        rows = [
            (f"`{name}`", one.text, " ".join(filter(None, (one.note, _dated(one)))))
            for name, one in found.items()
        ]
        title = mode.replace("_", "-")
        parts.append(f"## {title}\n\n{table(('limit', 'value', 'note and source'), rows)}")
    return "\n".join(parts)


def _transfer() -> str:
    factors = read_yaml(PRICING / "transfer.yaml").data
    rows = [
        (prose(one["why"]), *(_factors(one[kind]) for kind in ("fp32", "int8")), _basis(one))
        for one in factors.values()
    ]
    return (
        "# Other CPUs\n\nHow fast one core of another CPU is taken to be, in parts of one core of "
        "the measured CPU: low, mid, high. [What it is for](../../cost.md#on-a-machine-that-was-"
        "not-measured).\n\n" + table(("the other CPU", "fp32", "int8", "rests on"), rows)
    )


def _factors(one: Mapping[str, float]) -> str:
    return "\N{NO-BREAK SPACE}/\N{NO-BREAK SPACE}".join(
        f"{one[end]:g}" for end in ("low", "mid", "high")
    )


def _basis(one: Mapping[str, Any]) -> str:
    return f"{one['basis']}: {one['source']}" if "source" in one else str(one["basis"])


def _price_sources() -> str:
    with (PRICING / "catalog" / "sources.csv").open(encoding="utf-8") as file:
        rows = [(f"`{row['source']}`", row["text"]) for row in csv.DictReader(file)]
    return (
        "# Sources of prices\n\nEach line of a bill (`workbench cost … --explain OPTION`) names "
        "its price's source and date; these are all there are. [How to give your own](../../cost.md"
        "#prices).\n\n" + table(("source", "what it is"), rows)
    )


def _dated(limit: Any) -> str:
    return f"({limit.source}, {limit.as_of})"


# --- files -------------------------------------------------------------------------------------


def _record_pages() -> Iterable[Page]:
    records = (
        ("run", "run.json", Run, "What a run directory holds; tables and reports are views of it."),
        ("manifest", "manifest.json", Manifest, "What an artifact's folder says of itself."),
        ("profile", "Profile for pricing", ServiceProfile, "What `workbench cost` takes."),
        ("plan", "Plan", Plan, "What `workbench cost --json` prints."),
    )
    for path, title, model, what in records:
        text = f"# {title}\n\n{what} {prose(model.__doc__)}\n\n{fields(model)}\n"
        if nested := models_within(model):
            text += f"\n## Records within\n\n{nested}"
        yield Page(f"reference/{path}.md", title, text)
    yield Page("reference/traffic.md", "Traffic files", _traffic())


def _traffic() -> str:
    parts = [
        "# Traffic files\n\nWhat they are for, with an example: [traffic](../cost.md#traffic). "
        "Units are written with the value (`2 KiB`, `150 ms`, `1 %`, `20/s`), and the unit at the "
        f"end of a name may be left away.\n\n{fields(Traffic, 'key')}\n## Shapes\n"
    ]
    parts.append(models_within(Traffic))
    assert _traffic_shapes.Constant.__name__ in "".join(parts), "the shapes are in the schema"
    return "\n".join(parts)


def _renderings() -> str:
    rows = [(f"`{name}`", prose(cls.title())) for name, cls in renderers().items()]
    return (
        "# Renderings\n\nWhat `workbench deploy --render` writes; see [deploying](../deploying.md"
        f"#files-to-review).\n\n{table(('format', 'what it writes'), rows)}"
    )


# --- serving -----------------------------------------------------------------------------------


def _server() -> str:
    """The server's own README: its settings, routes and bodies."""
    return SERVER.read_text(encoding="utf-8").replace("# onnx-server\n", "# The server\n", 1)


def _clause_pages() -> Iterable[Page]:
    rows = [(c.number, c.title, ", ".join(c.needs) or "–") for c in declared().values()]
    text = "# Clauses of the hosting contract\n\nWhat [`workbench verify`](../verify.md) checks.\n"
    text += "\n" + table(("clause", "what it asks for", "what checking it needs"), rows)
    yield Page("reference/clauses.md", "Clauses", text)


def _anchor(title: str) -> str:
    return re.sub(r"[^\w-]+", "", title.lower().replace(" ", "-"))
