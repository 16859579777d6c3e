"""The work that every peer does for a request: rows or texts in, rows of floats out.

It runs in each peer's own environment (numpy, onnxruntime, tokenizers), with the same onnxruntime
settings everywhere, those of onnx_server: one thread in a session, all graph optimisations, no
spinning, no memory arena.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


class Predictor:
    """One session on the model of a folder with ``manifest.json``; safe to call from threads."""

    def __init__(self, folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            folder / manifest["model_file"], options, providers=["CPUExecutionProvider"]
        )
        self.names = [tensor["name"] for tensor in manifest["signature"]["inputs"]]
        self.tokenizer: Tokenizer | None = None
        if text := manifest.get("preprocess"):
            self.tokenizer = Tokenizer.from_file(str(folder / text["tokenizer"]))
            self.tokenizer.enable_truncation(text["max_length"])
            self.tokenizer.enable_padding(pad_id=text["pad_id"], pad_token=text["pad_token"])

    def __call__(self, instances: list[str] | list[list[float]]) -> list[list[float]]:
        """One row of the first output for each instance."""
        return self.session.run(None, self.feed(instances))[0].tolist()

    def feed(self, instances: list[str] | list[list[float]]) -> dict[str, np.ndarray]:
        """The inputs of the model, by name."""
        if self.tokenizer is None:
            return {self.names[0]: np.asarray(instances, np.float32)}
        rows = self.tokenizer.encode_batch_fast(instances)
        made = {
            "input_ids": [row.ids for row in rows],
            "attention_mask": [row.attention_mask for row in rows],
            "token_type_ids": [row.type_ids for row in rows],
        }
        return {name: np.asarray(made[name], np.int64) for name in self.names}


def from_environment() -> Predictor:
    """The predictor of the folder that the benchmark names in ``BENCHMARK_MODEL``."""
    return Predictor(Path(os.environ["BENCHMARK_MODEL"]))
