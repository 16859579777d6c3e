"""What to measure: which figures, on which servers, how often and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from peers.base import Peer

OURS = "onnx_server"
FOUR = ("mlserver", "mlserver_inline", "bentoml", "litserve", "multi_model_server")
"""The four general model servers, one of them in two configurations; the FastAPI app is what one
would write oneself."""
MODELS = {
    "tiny": ("cpu", "tail"),
    "minilm": ("minilm", "tail", "cold", "memory", "ping"),
}
"""The figures that are measured on each model."""
FIGURES = ("cpu", "minilm", "tail", "cold", "memory", "many", "ping")


@dataclass(frozen=True)
class Plan:
    """``seconds`` are those of each load, ``wait_s`` at most those for the machine to be quiet."""

    figures: tuple[str, ...]
    peers: tuple[Peer, ...]
    minilm: Path
    rounds: int
    seconds: float
    wait_s: float
    rates: tuple[float, ...] = ()

    @property
    def ping_s(self) -> float:
        """Seconds of overload: some slow requests must end in them."""
        return max(3.0, self.seconds)

    @property
    def warm_s(self) -> float:
        """Seconds of load before anything but the cold start is measured."""
        return min(5.0, self.seconds)

    def of(self, model: str) -> list[str]:
        """The chosen figures of a model."""
        return [figure for figure in MODELS[model] if figure in self.figures]
