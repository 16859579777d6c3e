"""``workbench deploy``: an endpoint of SageMaker, shown, rendered, made, changed or deleted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.costing import traffic_of
from workbench.cli.output import TerminalProgress, console, print_json, print_table
from workbench.errors import ExitCode, InputError

if TYPE_CHECKING:
    from workbench.deploy.action import Action
    from workbench.deploy.deployment import Deployment
    from workbench.deploy.hosting import Hosting
    from workbench.deploy.resources import Clients
    from workbench.packaging.sources import Source

EXAMPLES = (
    "workbench deploy runs/minilm-int8 --variant int8 --option auto --requests 2M",
    "workbench deploy runs/minilm-int8:int8 --option serverless --memory 2048 "
    "--render cloudformation --image IMAGE --bucket BUCKET --account 123456789012",
    "workbench deploy runs/minilm-int8:int8 --option real-time --instance-type ml.c7i.large "
    "--image IMAGE --bucket BUCKET --apply",
    "workbench deploy runs/minilm-int8:int8 … --apply --update",
    "workbench deploy --status minilm-int8",
    "workbench deploy --delete minilm-int8",
)
AUTO = "auto"


def add(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(epilog="\n\n".join(("Examples:", *EXAMPLES)))(deploy)


def deploy(
    run: Annotated[
        str | None,
        typer.Argument(help="A run directory, RUN:VARIANT, or an artifact.", metavar="RUN"),
    ] = None,
    variant: Annotated[
        str | None, typer.Option("--variant", help="The variant of the run directory.")
    ] = None,
    option: Annotated[
        str, typer.Option("--option", help="auto: the cheapest one; or real-time, serverless, …")
    ] = AUTO,
    requests: Annotated[
        str | None, typer.Option("--requests", help="The traffic: 2M (a month), or 20/s.")
    ] = None,
    traffic: Annotated[
        Path | None, typer.Option("--traffic", help="The same, from a traffic's YAML file.")
    ] = None,
    more: Annotated[
        list[str] | None,
        typer.Option("--add", metavar="RUN:VARIANT", help="One more model at the same endpoint."),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--ab", metavar="RUN:VARIANT=10%", help="One more variant with its share of requests."
        ),
    ] = None,
    shadow: Annotated[
        str | None,
        typer.Option("--shadow", metavar="RUN:VARIANT", help="Gets copies of the requests only."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Of the endpoint.", show_default="as packaged")
    ] = None,
    region: Annotated[str, typer.Option(help="AWS region.")] = "us-east-1",
    image: Annotated[
        str | None, typer.Option("--image", help="In ECR: …amazonaws.com/NAME@sha256:…")
    ] = None,
    bucket: Annotated[
        str | None, typer.Option("--bucket", help="S3 bucket of the archives; it must exist.")
    ] = None,
    prefix: Annotated[str, typer.Option(help="Folder in the bucket.")] = "workbench",
    role: Annotated[
        str | None,
        typer.Option("--role", help="Execution role's ARN.", show_default="one is made"),
    ] = None,
    account: Annotated[
        str | None, typer.Option("--account", help="Twelve digits.", show_default="asked of AWS")
    ] = None,
    instance_type: Annotated[
        str | None, typer.Option("--instance-type", help="Such as ml.c7i.large.")
    ] = None,
    instances: Annotated[int, typer.Option(min=1, help="How many of them.")] = 1,
    memory: Annotated[int, typer.Option("--memory", help="Serverless: MB, 1024 to 6144.")] = 2048,
    concurrency: Annotated[
        int, typer.Option("--concurrency", min=1, help="Serverless: copies at most.")
    ] = 5,
    input_: Annotated[
        str | None, typer.Option("--input", help="Batch: s3:// prefix of the files.")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", help="Batch, asynchronous: s3:// prefix; --render: a folder."),
    ] = None,
    subnet: Annotated[
        list[str] | None, typer.Option("--subnet", help="VPC subnet; repeatable.")
    ] = None,
    security_group: Annotated[
        list[str] | None, typer.Option("--security-group", help="VPC security group; repeatable.")
    ] = None,
    env: Annotated[
        list[str] | None, typer.Option("--env", metavar="KEY=VALUE", help="Of the container.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="Of all resources.")
    ] = None,
    render: Annotated[
        str | None,
        typer.Option("--render", help="sagemaker, cloudformation, terraform or kubernetes."),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Send the requests to AWS.")] = False,
    update: Annotated[
        bool, typer.Option("--update", help="With --apply: change an endpoint that exists.")
    ] = False,
    status: Annotated[
        str | None, typer.Option("--status", metavar="NAME", help="What there is of an endpoint.")
    ] = None,
    delete: Annotated[
        str | None, typer.Option("--delete", metavar="NAME", help="Delete all of an endpoint.")
    ] = None,
    wait: Annotated[int, typer.Option(min=1, help="Seconds to wait for the endpoint.")] = 1800,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Host a run's variant on SageMaker: show the requests, render files, or send them."""
    from workbench.deploy.resources import Clients, aws_errors

    if status or delete:
        with aws_errors():
            return _existing(status or delete or "", Clients(region), bucket, prefix,
                             remove=delete is not None, as_json=as_json)  # fmt: skip
    if run is None:
        raise InputError("Give a run, or --status or --delete with an endpoint's name.")
    asked = _Asked(run, variant, more or [], against or [], shadow, name)
    with _readable():
        hosting, note = _hosting(
            asked, option, requests, traffic, region, output or f"s3://{bucket}/{prefix}/answers/",
            _given(instance_type, instances, memory, concurrency, input_, output),
        )  # fmt: skip
    with aws_errors():
        number = account or (Clients(region).account() if apply and role is None else "")
    made = _deployment(
        asked, hosting, region=region, image=image, bucket=bucket, prefix=prefix, role=role,
        account=number,
        network=(subnet or [], security_group or []), environment=_pairs("--env", env),
        tags=_pairs("--tag", tag), wait=wait,
    )  # fmt: skip
    if render:
        return _render(made, render, Path(output or f"{made.name}-{render}"))
    if apply:
        with aws_errors():
            return _apply(made, asked, Clients(region), update=update, as_json=as_json)
    from workbench.deploy.actions import actions
    from workbench.deploy.validation import check

    planned = actions(made)
    check(planned)
    _print_planned(planned, note, as_json=as_json)
    return int(ExitCode.OK)


class _Asked:
    """Which models are meant, found once."""

    def __init__(
        self, run: str, variant: str | None, more: list[str], against: list[str],
        shadow: str | None, name: str | None,
    ) -> None:  # fmt: skip
        from workbench.cli.packaging import default_name
        from workbench.packaging.sources import find_sources

        first = f"{run}:{variant}" if variant else run
        self.sources = find_sources([first, *more])
        self.endpoint = "multi" if more else "single"
        self.name = name or default_name(self.sources, self.endpoint)
        self.others: list[tuple[str, list[Source], float, bool]] = []
        for number, word in enumerate(against):
            target, equals, share = word.rpartition("=")
            if not equals:
                raise InputError(f"--ab {word} is not RUN:VARIANT=10%.")
            self.others.append((f"b{number + 1}", find_sources([target]), _share(share), False))
        if shadow:
            self.others.append(("shadow", find_sources([shadow]), 1.0, True))

    @property
    def main_weight(self) -> float:
        """What the other variants leave; AWS takes weights, whose sum need not be 1."""
        left = 1 - sum(weight for _, _, weight, shadow in self.others if not shadow)
        if left < 0:
            raise InputError("The shares of --ab are more than 100 %.")
        return left


def _share(text: str) -> float:
    from workbench.cost.traffic import parse_share

    return float(parse_share(text))


def _given(
    instance_type: str | None, instances: int, memory: int, concurrency: int,
    input_: str | None, output: str | None,
) -> dict[str, Any]:  # fmt: skip
    return {"instance_type": instance_type, "instances": instances, "memory_mb": memory,
            "max_concurrency": concurrency, "input": input_, "output": output}  # fmt: skip


def _hosting(
    asked: _Asked, option: str, requests: str | None, traffic: Path | None, region: str,
    answers: str, given: dict[str, Any],
) -> tuple[Hosting, str]:  # fmt: skip
    """How it is hosted: by the user's own figures, or by those of the plan for a traffic."""
    from workbench.deploy.choose import cheapest
    from workbench.deploy.hosting import Asynchronous, BatchTransform, RealTime, Serverless

    run = next((s.run for s in asked.sources if s.run and s.run.traffic), None)
    if requests is None and traffic is None:
        kind = given["instance_type"]
        match option:
            case "serverless":
                return Serverless(memory_mb=given["memory_mb"],
                                  max_concurrency=given["max_concurrency"]), ""  # fmt: skip
            case "real-time" | "multi-model" if kind:
                return RealTime(instance_type=kind, instances=given["instances"]), ""
            case "asynchronous" | "async" if kind:
                return Asynchronous(instance_type=kind, output=answers,
                                    most=given["instances"]), ""  # fmt: skip
            case "batch" if kind and given["input"] and given["output"]:
                return BatchTransform(instance_type=kind, instances=given["instances"],
                                      input=given["input"], output=given["output"]), ""  # fmt: skip
        if run is None:
            raise InputError(
                f"--option {option} needs figures.",
                hint="Give the traffic (--requests or --traffic) and they are found; or give "
                "--option serverless, --option real-time --instance-type TYPE, or --option batch "
                "with --instance-type, --input and --output.",
            )
    load = traffic_of(traffic, requests, run=run)
    return cheapest(asked.sources, option, load, region, answers)


def _deployment(
    asked: _Asked, hosting: Hosting, *, region: str, image: str | None, bucket: str | None,
    prefix: str, role: str | None, account: str, network: tuple[list[str], list[str]],
    environment: dict[str, str], tags: dict[str, str], wait: int,
) -> Deployment:  # fmt: skip
    from workbench.deploy.deployment import Deployment, Network, Share
    from workbench.deploy.inventory import default_role
    from workbench.deploy.models import hosted

    if not image or not bucket:
        raise InputError(
            "A deployment needs --image and --bucket.",
            hint="Build and push one: workbench package RUN --build --push REGISTRY/NAME:TAG.",
        )
    if any(network) and not all(network):
        raise InputError("A VPC needs --subnet and --security-group.")
    shares = [
        Share(endpoint=asked.endpoint, models=hosted(asked.sources), weight=asked.main_weight)
    ]
    for name, sources, weight, shadow in asked.others:
        shares.append(
            Share(name=name, endpoint="single", models=hosted(sources), weight=weight,
                  shadow=shadow)
        )  # fmt: skip
    with _readable():
        return Deployment(
            name=asked.name, region=region, account=account, image=image, bucket=bucket,
            role=role or default_role(asked.name), prefix=prefix, shares=tuple(shares),
            hosting=hosting, environment=environment, tags=tags, wait_s=wait,
            network=Network(subnets=tuple(network[0]), security_groups=tuple(network[1]))
            if all(network) else None,
        )  # fmt: skip


@contextmanager
def _readable() -> Iterator[None]:
    """A record's refusal of a value as one sentence."""
    from pydantic import ValidationError

    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or error.title
        reason = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{place}: {reason}.") from None


def _pairs(option: str, words: list[str] | None) -> dict[str, str]:
    pairs = {}
    for word in words or ():
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise InputError(f"{option} {word} is not KEY=VALUE.")
        pairs[key] = value
    return pairs


def _render(made: Deployment, kind: str, folder: Path) -> int:
    from workbench.artifact import write_atomic
    from workbench.deploy.render import renderers
    from workbench.plugins import make_plugin

    files = make_plugin(renderers(), kind, {}, "format").files(made)
    for name, text in files.items():
        write_atomic(folder / name, text)
    screen = console()
    for name in files:
        screen.print(str(folder / name), soft_wrap=True)
    return int(ExitCode.OK)


def _apply(
    made: Deployment, asked: _Asked, clients: Clients, *, update: bool, as_json: bool
) -> int:
    from workbench.deploy.apply import apply
    from workbench.deploy.asking import EndpointAsker
    from workbench.deploy.deployment import component_name
    from workbench.deploy.hosting import Components, RealTime, Serverless
    from workbench.deploy.prove import prove

    first = made.shares[0]
    asked_at_once = isinstance(made.hosting, RealTime | Serverless | Components)
    asker = EndpointAsker(
        made.name, clients,
        target=f"{first.models[0].name}.tar.gz" if first.endpoint == "multi" else None,
        variant=first.name if len(made.shares) > 1 and asked_at_once else None,
        component=component_name(made, first) if isinstance(made.hosting, Components) else None,
    )  # fmt: skip
    artifact = asked.sources[0].artifact

    def proved() -> str:
        return prove(asker, artifact)

    with TerminalProgress() as progress:
        outcome = apply(made, clients, progress, update=update,
                        prove=proved if asked_at_once else None)  # fmt: skip
    if as_json:
        print_json({
            "endpoint": made.name,
            "made": [action.name for action in outcome.made],
            "kept": [action.name for action in outcome.kept],
            "updated": outcome.updated,
        })  # fmt: skip
        return int(ExitCode.OK)
    done = "Updated" if outcome.updated else "Made" if outcome.made else "Nothing to do for"
    console().print(f"{done} {made.name}: {len(outcome.made)} made, {len(outcome.kept)} kept.")
    return int(ExitCode.OK)


def _existing(
    name: str, clients: Clients, bucket: str | None, prefix: str, *, remove: bool, as_json: bool
) -> int:
    from workbench.deploy.inventory import delete, inventory
    from workbench.errors import StepError

    things = inventory(name, clients, bucket=bucket or "", prefix=prefix)
    if as_json and not remove:
        print_json([thing.model_dump(mode="json") for thing in things])
        return int(ExitCode.OK)
    if not things:
        raise InputError(
            f"There is nothing of an endpoint {name}.",
            hint="Give the right --region; with --bucket archives without a model are found too.",
        )
    if not remove:
        rows = [(thing.kind, thing.name, thing.detail) for thing in things]
        print_table(name, ("what", "name", "state"), rows)
        return int(ExitCode.OK)
    left = delete(things, clients, lambda text: typer.echo(text, err=True))
    if left:
        raise StepError(f"Not deleted: {'; '.join(left)}", hint="Run it again in a minute.")
    console().print(f"Deleted {name}: {len(things)} things.")
    return int(ExitCode.OK)


def _print_planned(planned: list[Action], note: str, *, as_json: bool) -> None:
    if as_json:
        print_json([action.model_dump(mode="json") for action in planned])
        return
    if note:
        console().print(note)
    rows = [(str(n), a.service, a.operation, a.name) for n, a in enumerate(planned, 1)]
    print_table("What --apply would send", ("", "service", "call", "name"), rows)
