"""``workbench options`` and ``workbench prices``: what can be hosted where, and at what price."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.catalog import AS_JSON
from workbench.cli.output import print_json, print_table

options = typer.Typer(no_args_is_help=True, help="The hosting options that are priced.")
prices = typer.Typer(no_args_is_help=True, help="The prices that costs are made of.")


@options.command("list")
def list_options(as_json: AS_JSON = False) -> None:
    """List the hosting options."""
    from workbench.cost.options import options as known

    rows = [(name, kind.provider, kind.title()) for name, kind in known().items()]
    if as_json:
        print_json([{"name": n, "provider": p, "title": t} for n, p, t in rows])
        return
    print_table("Hosting options", ("name", "provider", "what it is"), rows)


@prices.command("show", epilog="Example: workbench prices show ml.c6i.large --region eu-west-1")
def show_price(
    instance_type: Annotated[str, typer.Argument(help="Such as ml.c6i.large, or c6i.large.")],
    region: Annotated[str, typer.Option(help="Region.")] = "us-east-1",
    file: Annotated[
        Path | None, typer.Option("--prices", help="Prices of your own, which win.")
    ] = None,
) -> None:
    """Show the prices of an instance type, each with its source and date."""
    from workbench.cost.catalog import Catalog, PriceMissingError

    catalog = Catalog.standard() if file is None else Catalog.standard().overlay(file)
    sagemaker = instance_type.startswith("ml.")
    modes = ("hosting", "async", "batch-transform") if sagemaker else ("ec2", "ec2-spot")
    rows = []
    for mode in modes:
        try:
            price = catalog.hourly(instance_type, region, mode)
        except PriceMissingError as error:
            if mode == modes[0]:
                raise
            rows.append((mode, "–", error.message, ""))
        else:
            rows.append((mode, f"{price.usd.normalize():f}", price.source, price.as_of))
    title = f"{instance_type} in {region}"
    print_table(title, ("mode", "USD per hour", "source", "as of"), rows)


@prices.command("update", epilog="Example: workbench prices update us-east-1 eu-west-1")
def update(
    regions: Annotated[list[str], typer.Argument(help="Regions, such as us-east-1.")],
    out: Annotated[Path, typer.Option("--out", help="File to write.")] = Path(
        "sagemaker-prices.yaml"
    ),
) -> None:
    """Write SageMaker's current prices to a file for --prices, from the AWS Price List.

    Needs boto3, and credentials that may call pricing:GetProducts.
    """
    from workbench.cost.catalog.update import update_prices

    typer.echo(f"written: {update_prices(regions, path=out)}")
