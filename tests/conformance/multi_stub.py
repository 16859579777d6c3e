"""A tiny server of many models, room for four, that keeps the contract unless told to break it."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, unquote, urlsplit

from tests.conformance.stub import JSON, Handler, RefusedError

ROOM = 4


class MultiHandler(Handler):
    models: dict[str, str]

    def do_GET(self) -> None:  # noqa: N802
        parts = urlsplit(self.path)
        if parts.path == "/ping" and "ping fails when empty" in self.faults and not self.models:
            self._refuse(503)
        elif parts.path == "/models":
            self._list(parse_qs(parts.query))
        elif self.path.endswith("/invoke"):
            self._refuse(405)
        elif self.path.startswith("/models/"):
            self._answer(self._describe)
        elif self.path == "/v2/models/verify-model":
            self.path = "/v2/models/model"
            super().do_GET()
        else:
            super().do_GET()

    def do_POST(self) -> None:  # noqa: N802
        if self.path == "/models":
            self._answer(self._load)
        elif self.path.startswith("/models/"):
            self._answer(self._invoke_one)
        elif self.path == "/invocations":
            self._refuse(404)
        else:
            super().do_POST()

    def do_DELETE(self) -> None:  # noqa: N802
        self._answer(self._unload)

    def _answer(self, act) -> None:
        try:
            act()
        except RefusedError as refused:
            self._refuse(refused.status)

    def _name(self) -> str:
        name = unquote(self.path.split("/")[2])
        if name not in self.models:
            raise RefusedError(404)
        return name

    def _load(self) -> None:
        try:
            value = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name, url = value["model_name"], value["url"]
        except (ValueError, KeyError):
            raise RefusedError(400) from None
        if not url.startswith("/opt/ml/models/m") and "leaves its folder" not in self.faults:
            raise RefusedError(404)
        if name in self.models and "loads twice" not in self.faults:
            raise RefusedError(409)
        if len(self.models) >= ROOM:
            if "evicts" not in self.faults:
                raise RefusedError(507)
            self.models.pop(next(iter(self.models)))
        self.models[name] = url
        self._send(200)

    def _list(self, query: dict[str, list[str]]) -> None:
        try:
            start = int(query.get("next_page_token", ["0"])[0])
            end = start + int(query.get("limit", ["100"])[0])
        except ValueError:
            self._refuse(400)
            return
        every = [{"modelName": n, "modelUrl": u} for n, u in sorted(self.models.items())]
        value: dict[str, object] = {"models": every[start:end]}
        if end < len(every) and "no second page" not in self.faults:
            value["nextPageToken"] = str(end)
        self._send(200, json.dumps(value).encode(), JSON)

    def _describe(self) -> None:
        name = self._name()
        entry = {"modelName": name, "modelUrl": self.models[name]}
        value = [entry] if "one model is a list" in self.faults else entry
        self._send(200, json.dumps(value).encode(), JSON)

    def _unload(self) -> None:
        name = self._name()
        if "keeps models" not in self.faults:
            del self.models[name]
        self._send(200)

    def _invoke_one(self) -> None:
        self._name()
        self._invoke()
