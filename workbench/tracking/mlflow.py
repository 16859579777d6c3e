"""MLflow: one run for a workbench run, and below it one for each variant."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from workbench.artifact import digest
from workbench.errors import InputError, MissingError, WorkbenchError
from workbench.records import Run, VariantResult
from workbench.tracking import FILES, Tracker
from workbench.tracking._figures import (
    gates_outcome,
    run_digest,
    run_params,
    run_tags,
    variant_metrics,
    variant_params,
    variant_tags,
)

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun
    from mlflow.tracking import MlflowClient

DIGEST, COMPLETE, MODEL = "workbench.digest", "workbench.complete", "workbench.model_digest"
PARENT, NAME = "mlflow.parentRunId", "mlflow.runName"
ADDRESS = "MLFLOW_TRACKING_URI"
NO_SERVER = (
    "http://HOST:5000 is a server; mlflow's file store is file:///FOLDER with "
    "MLFLOW_ALLOW_FILE_STORE=true; a database asks for the whole mlflow package."
)
MOST_PARAMS, MOST_METRICS, MOST_TAGS = 100, 1000, 100
"""What one request may hold (MLflow's REST API, "Request Limits" of log-batch)."""
STORES = ("azure", "boto3", "botocore", "google")
PARAM_LENGTH, TAG_LENGTH = 6000, 5000
"""Characters of a value; longer ones are cut and end in …: ``run.json`` has all of it."""


class Mlflow(Tracker):
    """An MLflow server, or a folder of its file store."""

    name: ClassVar[str] = "mlflow"
    shorthand: ClassVar[str | None] = "experiment"

    experiment: str = Field("workbench", min_length=1, description="Made when it is not there.")
    uri: str | None = Field(None, description=f"Address of the server; none: {ADDRESS}.")
    models: bool = Field(False, description="Whether the artifacts of the variants go there too.")

    def check(self) -> None:
        """See that the package, the address and the server are there; nothing is made yet.

        Raises:
            InputError: no address, or one that this MLflow cannot use.
            MissingError: mlflow is not installed, or the server cannot be reached.
        """
        with self._errors():
            self._client().get_experiment_by_name(self.experiment)

    def log(self, run: Run, folder: Path) -> str:
        """Hand over a run: parameters, figures, tags and files; see the base.

        A run is known by a digest of what it holds but when and how fast it was made. One that is
        there is completed and its files are replaced; its figures are not written twice.
        """
        with self._errors():
            client = self._client()
            found = client.get_experiment_by_name(self.experiment)
            if found is not None and found.lifecycle_stage == "deleted":
                raise InputError(
                    f"MLflow's experiment '{self.experiment}' is deleted.",
                    hint="Restore it there, or name another: --track mlflow:NAME.",
                )
            experiment = found.experiment_id if found else client.create_experiment(self.experiment)
            own = run_digest(run)
            parent = self._run(client, experiment, run.name, run, {DIGEST: own})
            known = parent.info.run_id
            _write(client, parent, run, run_params(run), {}, run_tags(run))
            for variant in run.variants:
                identity = {
                    DIGEST: digest({"run": own, "variant": variant.name}),
                    PARENT: known,
                }
                name = f"{run.name}/{variant.name}"
                child = self._run(client, experiment, name, run, identity)
                self._log_variant(client, child, run, variant, folder)
            for name in FILES:
                if (folder / name).is_file():
                    client.log_artifact(known, str(folder / name))
            client.set_tag(known, COMPLETE, "true")
            client.set_terminated(known, "FINISHED", end_time=_milliseconds(run.created))
            address = self._address().rstrip("/")
            if _is_web(address):
                return f"{address}/#/experiments/{experiment}/runs/{known}"
            return f"{address}, experiment {self.experiment}, run {known}"

    def _log_variant(
        self,
        client: MlflowClient,
        child: MlflowRun,
        run: Run,
        variant: VariantResult,
        folder: Path,
    ) -> None:
        known = child.info.run_id
        tags = {
            **variant_tags(run, variant),
            "workbench.gates": gates_outcome(run, variant.name),
        }
        _write(client, child, run, variant_params(variant), variant_metrics(variant), tags)
        if self.models and child.data.tags.get(MODEL) != variant.key:
            place = folder / "variants" / variant.name
            if not place.is_dir():
                raise InputError(f"{folder} holds no artifact of '{variant.name}'.")
            client.log_artifacts(known, str(place), "model")
            client.set_tag(known, MODEL, variant.key)
        client.set_tag(known, COMPLETE, "true")
        client.set_terminated(known, "FINISHED", end_time=_milliseconds(run.created))

    def _run(
        self, client: MlflowClient, experiment: str, name: str, run: Run, tags: dict[str, str]
    ) -> MlflowRun:
        """The MLflow run of a digest, made when it is not there."""
        found = client.search_runs(
            [experiment], f"tags.`{DIGEST}` = '{tags[DIGEST]}'", max_results=1
        )
        if found:
            return found[0]
        source = {"mlflow.source.name": "workbench run", "mlflow.source.type": "LOCAL"}
        return client.create_run(
            experiment,
            start_time=_milliseconds(run.created),
            tags={**source, **tags},
            run_name=name,
        )

    def _address(self) -> str:
        address = self.uri or os.environ.get(ADDRESS)
        if not address:
            raise InputError(
                "No MLflow server is named.",
                hint=f"Set {ADDRESS}, or give --tracking-uri http://HOST:5000.",
            )
        return address

    def _client(self) -> MlflowClient:
        address = self._address()
        # Seven tries with doubled waits take minutes; MLflow reports to its maker, and prints on
        # standard output, unless told not to. What the user has set stays.
        for name, value in (
            ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2"),
            ("MLFLOW_DISABLE_TELEMETRY", "true"),
            ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
            ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true"),
        ):
            os.environ.setdefault(name, value)
        try:
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise MissingError(
                "mlflow is not installed.", hint="pip install 'workbench[mlflow]'"
            ) from error
        return MlflowClient(address)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turns MLflow's errors into one sentence."""
        address = self._address()
        try:
            yield
        except WorkbenchError:
            raise
        except (ImportError, OSError) as error:
            raise MissingError(f"MLflow at {address}: {_first_line(error)}") from error
        except Exception as error:
            if not (_is_mlflows(error) or _is_stores(error)):
                raise
            told = f"MLflow at {address}: {_first_line(error)}"
            if _is_web(address):
                raise MissingError(told, hint="Is the server there, and are you let in?") from error
            raise InputError(told, hint=NO_SERVER) from error


def _write(
    client: MlflowClient,
    target: MlflowRun,
    run: Run,
    params: dict[str, str],
    metrics: dict[str, float],
    tags: dict[str, str],
) -> None:
    """Write what is not there yet; MLflow appends to a metric that is written twice."""
    from mlflow.entities import Metric, Param, RunTag

    at = _milliseconds(run.measured)
    data = target.data
    new_params = [
        Param(_key(name), _cut(value, PARAM_LENGTH))
        for name, value in params.items()
        if _key(name) not in data.params
    ]
    new_metrics = [
        Metric(_key(name), value, at, 0)
        for name, value in metrics.items()
        if data.metrics.get(_key(name)) != value
    ]
    new_tags = [
        RunTag(name, _cut(value, TAG_LENGTH))
        for name, value in tags.items()
        if data.tags.get(name) != _cut(value, TAG_LENGTH)
    ]
    known = target.info.run_id
    for some in _batches(new_params, MOST_PARAMS):
        client.log_batch(known, params=some)
    for some in _batches(new_metrics, MOST_METRICS):
        client.log_batch(known, metrics=some)
    for some in _batches(new_tags, MOST_TAGS):
        client.log_batch(known, tags=some)


def _batches(items: list[Any], most: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), most):
        yield items[start : start + most]


def _key(name: str) -> str:
    """A name that MLflow takes: letters, digits, ``_-. :/``; others become ``_``."""
    return "".join(sign if sign.isalnum() or sign in "_-. :/" else "_" for sign in name)


def _cut(value: str, length: int) -> str:
    return value if len(value) <= length else f"{value[: length - 1]}…"


def _milliseconds(when: str) -> int:
    """Of ISO 8601, since 1970."""
    return round(datetime.fromisoformat(when).timestamp() * 1000)


def _is_mlflows(error: Exception) -> bool:
    from mlflow.exceptions import MlflowException

    return isinstance(error, MlflowException)


def _is_stores(error: Exception) -> bool:
    """Whether it is of a client that MLflow puts artifacts into a cloud's storage with."""
    return type(error).__module__.partition(".")[0] in STORES


def _is_web(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def _first_line(error: Exception) -> str:
    """The first sentence; of a connection that failed, what the system said."""
    if refused := re.search(r"\[Errno -?\d+\] ([^\"')]+)", str(error)):
        return f"it cannot be reached: {refused[1]}."
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"{lines[0].partition('. ')[0].rstrip('.')}."
