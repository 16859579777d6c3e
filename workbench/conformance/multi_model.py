"""Chapter 7 of the contract: many models behind one server (C22–C25)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from workbench.conformance.clause import Findings, Note, NotTestedError, Untested, Wrong, clause
from workbench.conformance.client import Answer, Client
from workbench.conformance.invocations import describe, judge_error
from workbench.conformance.subject import ModelFolder, Subject

FIRST_CALL_S = 60.0
PREFIX = "verify-"
"""Names under which clauses load models, so that none is taken from the user's own."""


@clause(
    "C22",
    "The /models routes answer 200, 409, 404 and 507; the container evicts nothing by itself",
    needs=("url", "multi"),
)
def models_api(subject: Subject) -> Findings:
    """Walk through the life of a model, then load all that were given and look for evictions."""
    client = subject.client
    absent = f"/models/{PREFIX}absent"
    yield from judge_error("GET of a model that is not loaded", client.get(absent), (404,))
    gone = client.request("DELETE", absent)
    yield from judge_error("DELETE of a model that is not loaded", gone, (404,))
    invoked = client.post(f"{absent}/invoke", b"{}", "application/json")
    yield from judge_error("invoking a model that is not loaded", invoked, (404,))
    malformed = client.post("/models", b"{", "application/json")
    yield from judge_error("a malformed POST /models", malformed, (400,))
    if not subject.models:
        yield Untested("loading, 409 and 507 need models (--models DIR)")
        return
    yield from _life(client, subject.models[0])
    yield from _no_eviction(client, subject.models)


@clause(
    "C23",
    "A model is loaded and answers its first call within 60 s",
    needs=("url", "multi", "models"),
)
def first_call(subject: Subject) -> Findings:
    """Load a model under a new name, invoke it once, unload it."""
    client, name = subject.client, f"{PREFIX}first"
    loaded = load(client, name, subject.models[0].url)
    if loaded.status == 507:
        raise NotTestedError("there is no memory for one more model (507)")
    if loaded.status != 200:
        yield Wrong(f"POST /models is answered {describe(loaded)}.")
        return
    try:
        seconds = loaded.seconds
        if subject.samples:
            sample = subject.samples[0]
            answer = client.post(invoke_path(name), sample.body, sample.content_type)
            seconds += answer.seconds
            if answer.status != 200:
                yield Wrong(f"The first call is answered {describe(answer)}.")
        else:
            yield Untested("the call itself needs a request body (--sample FILE:CONTENT_TYPE)")
        if seconds > FIRST_CALL_S:
            yield Wrong(f"Loading and the first call took {seconds:.0f} s; the limit is 60 s.")
    finally:
        unload(client, name)


@clause("C24", "GET /models pages through all models", needs=("url", "multi", "models"))
def pagination(subject: Subject) -> Findings:
    """Three names, one model a page: every name once, and an end."""
    client = subject.client
    names = [f"{PREFIX}page-{index}" for index in range(3)]
    try:
        for name in names:
            loaded = load(client, name, subject.models[0].url)
            if loaded.status == 507:
                raise NotTestedError("there is no memory for three more models (507)")
            if loaded.status != 200:
                yield Wrong(f"POST /models is answered {describe(loaded)}.")
                return
        whole = sorted(listed(client))
        pages = _pages(client, limit=1)
        if sorted(pages) != whole or not set(names) <= set(pages):
            yield Wrong(f"Page by page GET /models lists {sorted(pages)}, in one page {whole}.")
        for query in ("limit=0", "limit=x", "next_page_token=%00"):
            answer = client.get(f"/models?{query}")
            if answer.status >= 500:
                yield Wrong(f"GET /models?{query} is answered {describe(answer)}.")
    finally:
        for name in names:
            unload(client, name)


@clause("C25", "The platform derives loading and cache metrics")
def platform_metrics(_: Subject) -> Findings:
    """Nothing of it is in the container."""
    raise NotTestedError("the platform measures these; the container has no part in it")


def load(client: Client, name: str, url: str) -> Answer:
    """POST /models."""
    return client.post_json("/models", {"model_name": name, "url": url})


def unload(client: Client, name: str) -> Answer:
    """DELETE a model."""
    return client.request("DELETE", f"/models/{quote(name, safe='')}")


def invoke_path(name: str) -> str:
    """The route that invokes a model."""
    return f"/models/{quote(name, safe='')}/invoke"


def listed(client: Client) -> list[str]:
    """The names of all loaded models."""
    return _pages(client, limit=100)


def _pages(client: Client, limit: int) -> list[str]:
    """The names on all pages; stops after 1,000 pages, so that a server cannot hold us."""
    names: list[str] = []
    token = ""
    for _ in range(1000):
        more = f"&next_page_token={quote(token)}" if token else ""
        raw = client.get(f"/models?limit={limit}{more}").json()
        if not isinstance(raw, dict):
            break
        names += [str(m.get("modelName")) for m in raw.get("models", ()) if isinstance(m, dict)]
        token = str(raw.get("nextPageToken") or "")
        if not token:
            break
    return names


def _life(client: Client, model: ModelFolder) -> Findings:
    name = f"{PREFIX}life"
    loaded = load(client, name, model.url)
    if loaded.status == 507:
        yield Untested("a model's life, as there is no memory for one more (507)")
        return
    if loaded.status != 200:
        yield Wrong(f"POST /models for '{model.url}' is answered {describe(loaded)}, not 200.")
        return
    yield from judge_error("loading a name twice", load(client, name, model.url), (409,))
    yield from _entry(client.get(f"/models/{name}"), name, model.url)
    if name not in listed(client):
        yield Wrong("A loaded model is not in GET /models.")
    gone = unload(client, name)
    if gone.status != 200:
        yield Wrong(f"DELETE of a loaded model is answered {describe(gone)}, not 200.")
    if name in listed(client):
        yield Wrong("A model is still in GET /models after its DELETE.")


def _entry(answer: Answer, name: str, url: str) -> Findings:
    raw: Any = answer.json()
    if isinstance(raw, list):
        yield Wrong("GET /models/{name} answers a list; it must be one object.")
    elif answer.status != 200 or not isinstance(raw, dict):
        yield Wrong(f"GET of a loaded model is answered {describe(answer)}.")
    elif (raw.get("modelName"), raw.get("modelUrl")) != (name, url):
        yield Wrong(
            f"GET /models/{{name}} says {raw}, not the modelName and modelUrl it was given."
        )


def _no_eviction(client: Client, models: tuple[ModelFolder, ...]) -> Findings:
    """Load every model once; those that were answered 200 must all be there at the end."""
    before, taken, full = listed(client), [], False
    try:
        for index, model in enumerate(models):
            name = f"{PREFIX}all-{index}"
            answer = load(client, name, model.url)
            if answer.status == 507:
                full = True
                break
            if answer.status == 200:
                taken.append(name)
            else:
                yield Wrong(f"POST /models for '{model.url}' is answered {describe(answer)}.")
        evicted = set(before + taken) - set(listed(client))
        if evicted:
            yield Wrong(
                f"The container unloaded {', '.join(sorted(evicted))} by itself; the platform "
                "evicts, and answers 404 for what it believes to be loaded."
            )
    finally:
        for name in taken:
            unload(client, name)
    if full:
        yield Note(f"507 after {len(taken)} models.")
    else:
        yield Untested(f"507, as {len(taken)} models fit into memory")
