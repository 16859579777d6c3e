"""Who judges the trials: this process, processes of this machine, or the workers of a Ray cluster.

An engine takes a question and gives a future of its answer; an error that a trial must not swallow
is an answer too, so that it crosses from one process to another whole.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from typing import Any

from workbench.errors import InputError, MissingError, StepError, WorkbenchError
from workbench.search.evaluate import Evaluator, Spec
from workbench.search.records import Question, Trial

REACHED_S = 10.0
"""Seconds within which the head of a cluster must answer."""

Answer = Trial | WorkbenchError
Engine = Callable[[Question], "Future[Answer]"]


@dataclass(frozen=True)
class Hired:
    """An engine, and how many questions it takes at a time."""

    ask: Engine
    slots: int


def answer(evaluator: Evaluator, question: Question, say: Callable[[str], None]) -> Answer:
    """A judged trial, or what stopped it."""
    try:
        return evaluator.judge(question, say)
    except WorkbenchError as error:
        return error


def taken(future: Future[Answer]) -> Trial:
    """The trial of a future that is done.

    Raises:
        WorkbenchError: what stopped it, or that its worker died.
    """
    try:
        found = future.result()
    except BrokenProcessPool:
        raise StepError(
            "A worker process died, most likely of too little memory.",
            hint="Take fewer --workers; what was finished is kept.",
        ) from None
    except Exception as error:
        if not type(error).__module__.startswith("ray."):
            raise
        told = str(error).splitlines()[0]
        raise StepError(f"A worker of Ray failed: {told}", hint="Run it again.") from error
    if isinstance(found, WorkbenchError):
        raise found
    return found


@contextmanager
def in_process(evaluator: Evaluator, say: Callable[[str], None]) -> Iterator[Hired]:
    """This process judges: one question at a time, before the engine returns."""

    def ask(question: Question) -> Future[Answer]:
        future: Future[Answer] = Future()
        future.set_result(answer(evaluator, question, say))
        return future

    yield Hired(ask, 1)


@contextmanager
def processes(spec: Spec, workers: int) -> Iterator[Hired]:
    """So many fresh processes of this machine judge."""
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_end_with_parent)
    try:
        yield Hired(lambda question: pool.submit(_answer, spec, question), workers)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def ray_workers(
    spec: Spec, *, address: str | None, workers: int | None, worker_type: str | None, timed: bool
) -> Iterator[Hired]:
    """Ray's workers judge: of the cluster at an address, or of a Ray that is started here.

    A worker must find the workbench, the recipe and its data where they are here. Trials that
    measure latency take one of the custom resource ``worker_type``, so that Ray has them run on
    machines of one kind, on each as many at a time as it offers of it.

    Raises:
        MissingError: Ray is not installed.
        InputError: there is no cluster, or nothing in it that may measure.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves that nobody asked for
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingError("Ray is not installed.", hint="pip install 'workbench[ray]'") from error
    if address and timed and worker_type is None:
        raise InputError(
            "Latency must be measured on one kind of machine, and a cluster may have several.",
            hint="Start its measuring nodes with `ray start --resources '{\"measuring\": 1}'` and "
            "give --worker-type measuring.",
        )
    if address:
        _require_listening(address)
        options: dict[str, Any] = {"address": address}
    else:
        offered = {worker_type: workers or 1} if worker_type else None
        options = {"num_cpus": workers or 1, "resources": offered, "include_dashboard": False}
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        ray.init(**options, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(
            f"Ray cannot be reached at {address or 'this machine'}: {str(error).splitlines()[0]}.",
            hint="A cluster that asks for a token wants RAY_AUTH_MODE=token here, as `ray start` "
            "says."
            if address
            else None,
        ) from error
    try:
        there = ray.cluster_resources()
        pinned = {worker_type: 1} if worker_type and timed else {}
        if worker_type and not there.get(worker_type):
            raise InputError(
                f"No node of the cluster offers the resource '{worker_type}'.",
                hint="Start nodes with `ray start --resources`; `ray status` shows what there is.",
            )
        slots = there.get(worker_type, 0) if pinned else there.get("CPU", 1)
        task = ray.remote(num_cpus=1, resources=pinned or None)(_answer)
        shared = ray.put(spec)
        yield Hired(
            lambda question: task.remote(shared, question).future(),
            workers or max(1, int(slots)),
        )
    finally:
        ray.shutdown()


def _require_listening(address: str) -> None:
    """Refuse an address where nothing answers; Ray itself would try for minutes.

    Raises:
        InputError: there is no such host, or nothing listens.
    """
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdigit():
        return  # such as `auto`
    try:
        socket.create_connection((host, int(port)), timeout=REACHED_S).close()
    except OSError as error:
        told = error.strerror or error
        raise InputError(f"There is no Ray at {address}: {told}.") from error


def _answer(spec: Spec, question: Question) -> Answer:
    """What a worker process runs."""
    try:
        return answer(_evaluator(spec), question, lambda text: None)
    except WorkbenchError as error:
        return error


_last: list[tuple[Spec, Evaluator]] = []


def _evaluator(spec: Spec) -> Evaluator:
    """Kept from one question to the next, as model and data take a while to look up."""
    if not _last or _last[0][0] != spec:
        _last[:] = [(spec, Evaluator(spec))]
    return _last[0][1]


def _end_with_parent() -> None:
    """A worker whose search was killed ends too."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
