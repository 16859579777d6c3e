"""``workbench cost``: every hosting option for every variant, ranked, and why others are not."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.output import console, print_json
from workbench.errors import ExitCode, InputError

if TYPE_CHECKING:
    from workbench.cost.plan import Plan
    from workbench.cost.savings_plan import SavingsPlan
    from workbench.cost.traffic import Traffic
    from workbench.records import Run

EXAMPLES = (
    "workbench cost runs/minilm-int8 --requests 2M",
    "workbench cost runs/minilm-int8 --traffic traffic.yaml --region eu-west-1",
    "workbench cost profile.yaml --requests 20M --top 3",
    "workbench cost runs/minilm-int8 --requests 2M --explain serverless",
    "workbench cost runs/minilm-int8 --requests 2M --frontier",
    "workbench cost runs/minilm-int8 --requests 200M --batching --cache-hits 30% --private-link 2",
    "workbench cost runs/minilm-int8 --requests 2M --family c7g,c6i",
    "workbench cost runs/minilm-int8 --traffic traffic.yaml --prices ours.yaml --json",
)
TRAFFIC = Annotated[
    Path | None,
    typer.Option(
        "--traffic", help="The traffic's YAML file.", show_default="the recipe's, if it has any"
    ),
]
REQUESTS = Annotated[
    str | None,
    typer.Option("--requests", help="Constant traffic instead: 2M (a month), or 20/s."),
]
HOURS = (720, 730, 744)
VOLUMES = range(3, 9)
"""Powers of ten of the requests a month in ``--volumes``."""


def add(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(epilog="\n\n".join(("Examples:", *EXAMPLES)))(cost)


def cost(
    measured: Annotated[
        Path, typer.Argument(help="A run directory, or a profile as YAML or JSON.", metavar="RUN")
    ],
    traffic: TRAFFIC = None,
    requests: REQUESTS = None,
    region: Annotated[str, typer.Option(help="Region of the prices.")] = "us-east-1",
    variant: Annotated[
        list[str] | None, typer.Option("--variant", help="Only these variants; repeatable.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="Only these options; repeatable.")
    ] = None,
    portfolio: Annotated[
        int, typer.Option(min=1, help="Models of this kind that share the traffic.")
    ] = 1,
    top: Annotated[int | None, typer.Option(min=1, help="The cheapest only, so many.")] = None,
    sequence: Annotated[
        int | None,
        typer.Option(
            help="Tokens of a request, one of the measured lengths.", show_default="longest"
        ),
    ] = None,
    hours: Annotated[int, typer.Option(help="Hours of a month: 720, 730 or 744.")] = 730,
    explain: Annotated[
        str | None, typer.Option("--explain", help="The bill of one option, line by line.")
    ] = None,
    volumes: Annotated[
        bool,
        typer.Option("--volumes", help="The same traffic at 1 K to 100 M requests a month."),
    ] = False,
    frontier: Annotated[
        bool,
        typer.Option("--frontier", help="What no other option and place beats in cost and p99."),
    ] = False,
    batching: Annotated[
        bool,
        typer.Option("--batching", help="The container batches requests that wait together."),
    ] = False,
    cache_hits: Annotated[
        str | None,
        typer.Option("--cache-hits", metavar="30%", help="Requests that its cache answers."),
    ] = None,
    private_link: Annotated[
        int | None,
        typer.Option(
            "--private-link",
            min=1,
            metavar="ZONES",
            help="SageMaker through an interface endpoint in so many zones.",
        ),
    ] = None,
    family: Annotated[
        list[str] | None,
        typer.Option("--family", help="Only these types, such as c7g,c6i; repeatable."),
    ] = None,
    savings_plan: Annotated[
        str | None,
        typer.Option("--savings-plan", metavar="20%", help="Your Savings Plan's discount."),
    ] = None,
    commitment: Annotated[
        float | None,
        typer.Option(min=0.001, help="Its commitment, USD an hour: paid whether used or not."),
    ] = None,
    prices: Annotated[
        Path | None, typer.Option("--prices", help="Prices of your own, which win.")
    ] = None,
    currency_note: Annotated[
        str | None, typer.Option("--currency-note", help="A sentence to print below.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> int:
    """What hosting will cost: all options for each variant, before and after."""
    from workbench.cost.catalog import Catalog
    from workbench.cost.modifiers import Modifiers, parse_cache_hits, parse_families
    from workbench.cost.planner import plan
    from workbench.cost.profile import profiles_of, profiles_of_run
    from workbench.report.costs import frontier_csv, plan_csv
    from workbench.run_directory import load_run

    run = load_run(measured) if measured.is_dir() else None
    load = traffic_of(traffic, requests, hours, run)
    profiles = profiles_of_run(run) if run else profiles_of(measured)
    if variant:
        known = {profile.name: profile for profile in profiles}
        if missing := [name for name in variant if name not in known]:
            raise InputError(
                f"There is no variant '{missing[0]}'.", hint=f"There is {', '.join(known)}."
            )
        profiles = [p for p in profiles if p.name in variant or p.baseline]
    catalog = Catalog.standard()
    if prices is not None:
        catalog = catalog.overlay(prices)
    ask = partial(
        plan, profiles, catalog=catalog, region=region, hours=hours, sequence=sequence,
        portfolio=portfolio, savings_plan=_savings_plan(savings_plan, commitment),
        modifiers=Modifiers(
            batching=batching,
            cache_hits=parse_cache_hits(cache_hits) if cache_hits is not None else 0.0,
            private_link=private_link or 0,
            families=parse_families(family or (), catalog),
        ),
        chosen=[explain] if explain and not option else option,
    )  # fmt: skip
    if frontier and (volumes or explain):
        raise InputError("--frontier stands alone, without --volumes or --explain.")
    if volumes:
        scaled = (load.scaled(10**power) for power in VOLUMES)
        plans = [ask(traffic=one, break_evens=False) for one in scaled]
        _print_volumes(plans, as_json=as_json)
        return int(ExitCode.OK)
    told = explain is None and (as_json or not frontier)
    made = ask(traffic=load, break_evens=told, frontier=frontier)
    if as_json:
        print_json(made.model_dump(mode="json"))
    elif as_csv:
        typer.echo(frontier_csv(made) if frontier else plan_csv(made), nl=False)
    elif frontier:
        _print_frontier(made, top, currency_note)
    else:
        _print(made, explain, top, currency_note)
    return int(ExitCode.OK)


def traffic_of(
    traffic: Path | None, requests: str | None, hours: int = 730, run: Run | None = None
) -> Traffic:
    """The traffic that ``--traffic`` or ``--requests`` gives, else that of the run's recipe.

    Raises:
        InputError: both or none is given, or what is given is no traffic.
    """
    from workbench.cost.traffic import Traffic, parse_requests, read_traffic, recorded_traffic

    if hours not in HOURS:
        raise InputError(f"A month has no {hours} hours.", hint="Give 720, 730 or 744.")
    if traffic is None and requests is None:
        recorded = recorded_traffic(run) if run else None
        if recorded is None:
            raise InputError(
                "Nothing says how much traffic there is.",
                hint="Give --traffic FILE or --requests 2M, or write 'traffic:' into the recipe.",
            )
        return recorded
    if traffic is not None and requests is not None:
        raise InputError("Give either --traffic FILE or --requests N.")
    if traffic is not None:
        return read_traffic(traffic, hours=hours)
    return Traffic(requests=parse_requests(requests or "", hours=hours))


def _savings_plan(discount: str | None, commitment: float | None) -> SavingsPlan | None:
    from workbench.cost.money import decimal
    from workbench.cost.savings_plan import MOST, SavingsPlan
    from workbench.cost.traffic import parse_share

    if discount is None:
        if commitment is not None:
            raise InputError("--commitment needs --savings-plan, the discount that it gives.")
        return None
    share = decimal(parse_share(discount))
    if not 0 < share <= MOST:
        raise InputError(
            f"A Savings Plan gives no {discount}.", hint=f"AWS: up to {MOST:.0%}, such as 20%."
        )
    return SavingsPlan(
        discount=share, commitment=None if commitment is None else decimal(commitment)
    )


def _print_volumes(plans: list[Plan], *, as_json: bool) -> None:
    from workbench.report.costs import volume_grids
    from workbench.report.terminal import print_grid

    if as_json:
        print_json([made.model_dump(mode="json") for made in plans])
        return
    screen = console()
    screen.print(f"{plans[0].region}, a month of {plans[0].hours} hours, USD")
    for grid in volume_grids(plans):
        print_grid(screen, grid)


def _print_frontier(made: Plan, top: int | None, note: str | None) -> None:
    from workbench.report.costs import frontier_grids, headline
    from workbench.report.terminal import print_grid

    screen = console()
    screen.print(headline(made))
    for grid in frontier_grids(made, top):
        print_grid(screen, grid)
    if note:
        screen.print(note)


def _print(made: Plan, explain: str | None, top: int | None, note: str | None) -> None:
    from workbench.report.costs import cost_grids, explanation, headline, sentences
    from workbench.report.terminal import print_grid

    screen = console()
    screen.print(headline(made))
    for grid in explanation(made, explain) if explain else cost_grids(made, top):
        print_grid(screen, grid)
    if not explain:
        for sentence in sentences(made):
            screen.print(sentence)
    if note:
        screen.print(note)
