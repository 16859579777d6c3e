"""The models in memory: loading, unloading, and what each of them takes.

Loads and unloads run one at a time in a thread, so that the memory that a load takes can be
measured; requests go on meanwhile. Nothing is evicted here: on the hosting platform that is the
platform's part, after a 507.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from onnx_server.engine import Engine, Line
from onnx_server.errors import BadRequest, Conflict, NotFound
from onnx_server.manifest import Manifest, read_manifest
from onnx_server.memory import Memory
from onnx_server.model import Model, load
from onnx_server.settings import Settings


@dataclass(slots=True, eq=False)
class Entry:
    """One name in the repository; ``line`` is none while the model loads."""

    name: str
    url: str
    line: Line | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)


class Repository:
    """Models by name. All methods belong to the event loop."""

    def __init__(
        self, settings: Settings, engine: Engine, changed: Callable[[list[tuple[str, str]]], None]
    ) -> None:
        """``changed`` is told the names and folders of the loaded models after every change."""
        self._settings = settings
        self._engine = engine
        self._changed = changed
        self._entries: dict[str, Entry] = {}
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self._memory = Memory(settings.memory_limit_bytes)

    def __len__(self) -> int:
        return sum(entry.line is not None for entry in self._entries.values())

    def entries(self) -> list[Entry]:
        """The loaded models, in the order of their names."""
        return [e for _, e in sorted(self._entries.items()) if e.line is not None]

    def line(self, name: str) -> Line:
        """The queue of a loaded model.

        Raises:
            NotFound: no such model is loaded.
        """
        entry = self._entries.get(name)
        if entry is None or entry.line is None:
            raise NotFound(f"No model of the name '{name[:100]}' is loaded.")
        return entry.line

    def entry(self, name: str) -> Entry:
        """The entry of a loaded model.

        Raises:
            NotFound: no such model is loaded.
        """
        self.line(name)
        return self._entries[name]

    async def load(self, name: str, url: str, *, anywhere: bool = False) -> Entry:
        """Load the model in the folder ``url`` under a name.

        Raises:
            BadRequest: the folder lies outside the models' folder.
            Conflict: the name is taken.
            InsufficientMemory: it would not fit; nothing is loaded.
            InvalidModel: its files are wrong.
        """
        if name in self._entries:
            raise Conflict(f"The model '{name[:100]}' is already loaded.")
        folder = Path(url) if anywhere else self._inside(url)
        entry = self._entries[name] = Entry(name, url)
        try:
            model = await asyncio.get_running_loop().run_in_executor(
                self._loader, self._load, folder
            )
        except BaseException:
            del self._entries[name]
            raise
        entry.line = Line(name, model)
        entry.ready.set()
        self._tell()
        return entry

    async def unload(self, name: str) -> None:
        """Forget a model; returns when what it was asked is answered and its memory is free.

        Raises:
            NotFound: no such model is loaded.
        """
        line = self.line(name)
        del self._entries[name]
        self._tell()
        self._engine.shut(line)
        while line.running:
            await asyncio.sleep(0.002)
        if line.timer is not None:
            line.timer.cancel()
        del line
        await asyncio.get_running_loop().run_in_executor(self._loader, self._memory.forget)

    def _tell(self) -> None:
        self._changed([(entry.name, entry.url) for entry in self.entries()])

    def _inside(self, url: str) -> Path:
        """The folder, which must lie in the models' folder, links followed."""
        if "\0" in url:
            raise BadRequest("The url holds a NUL character.", field="url")
        root = self._settings.models_dir.resolve()
        try:
            folder = Path(url).resolve() if Path(url).is_absolute() else (root / url).resolve()
            found = folder.is_dir()
        except (OSError, RuntimeError):  # a name that is too long, a loop of links
            raise BadRequest("There can be no folder at the url.", field="url") from None
        if not folder.is_relative_to(root):
            raise BadRequest("The url must lie in the models' folder.", field="url")
        if not found:
            raise BadRequest("There is no folder at the url.", field="url")
        return folder

    # --- in the loader's thread ------------------------------------------------------------------

    def _load(self, folder: Path) -> Model:
        manifest = read_manifest(folder)
        path = str(manifest.model_path)
        before = self._memory.open(path, _file_bytes(manifest), alone=len(self) == 0)
        model: Model | None = None
        try:
            model = load(
                manifest,
                threads=self._settings.threads,
                device=self._settings.device,
                max_batch=self._settings.max_batch,
            )
            model.memory_bytes = self._memory.close(path, before)
        except BaseException:
            model = None
            self._memory.abandon()
            raise
        return model


def _file_bytes(manifest: Manifest) -> int:
    """Bytes of the graph and its weights (external data lies beside it)."""
    names = {manifest.model_file} | {n for n in manifest.files if n != "tokenizer.json"}
    return sum((manifest.folder / name).stat().st_size for name in names)
