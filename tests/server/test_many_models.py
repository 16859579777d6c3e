"""Many models in one server: the platform's API, memory, and concurrency."""

from __future__ import annotations

import concurrent.futures
import os
import random
import signal

import pytest

from tests.server.models import write_heavy, write_linear


@pytest.fixture
def many(serve, tmp_path):
    folder = tmp_path / "models"
    for factor in (2, 3, 5):
        write_linear(folder / f"m{factor}", factor=factor)
    return serve("--multi-model", "--models-dir", folder), folder


def _load(server, folder, name):
    return server.json("POST", "/models", {"model_name": name, "url": str(folder / name)})


def _ask(server, name, value=1.0):
    rows = {"instances": [[value, 0, 0, 0]]}
    return server.json("POST", f"/models/{name}/invoke", rows)


def test_a_model_is_loaded_listed_invoked_and_unloaded(many):
    server, folder = many
    assert server.ask("GET", "/ping")[0] == 200
    assert _load(server, folder, "m2")[0] == 200
    entry = {"modelName": "m2", "modelUrl": str(folder / "m2")}
    assert server.json("GET", "/models") == (200, {"models": [entry]})
    assert server.json("GET", "/models/m2") == (200, entry)
    assert _ask(server, "m2") == (200, {"predictions": [[2.0, 0.0, 0.0, 0.0]]})
    assert server.ask("DELETE", "/models/m2")[0] == 200
    for method, path in (("GET", "/models/m2"), ("DELETE", "/models/m2")):
        assert server.ask(method, path)[0] == 404
    assert _ask(server, "m2")[0] == 404


def test_a_second_load_of_a_name_is_a_conflict(many):
    server, folder = many
    assert [_load(server, folder, "m2")[0] for _ in range(2)] == [200, 409]


def test_loads_of_a_name_at_the_same_time_succeed_once(many):
    server, folder = many
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: _load(server, folder, "m2")[0], range(8)))
    assert sorted(statuses) == [200] + [409] * 7


def test_pages_name_every_model_once(many):
    server, folder = many
    for name in ("m2", "m3", "m5"):
        _load(server, folder, name)
    first = server.json("GET", "/models?limit=2")[1]
    assert [m["modelName"] for m in first["models"]] == ["m2", "m3"]
    token = first["nextPageToken"]
    second = server.json("GET", f"/models?limit=2&next_page_token={token}")[1]
    assert [m["modelName"] for m in second["models"]] == ["m5"]
    assert "nextPageToken" not in second


@pytest.mark.parametrize(
    "url", ["/etc", "../..", "m2/../../..", "/proc/self/root", "nothing", "\0"]
)
def test_a_url_outside_the_models_folder_is_refused(many, url):
    server, _ = many
    status, body = server.json("POST", "/models", {"model_name": "x", "url": url})
    assert (status, body["field"]) == (400, "url")


def test_a_link_out_of_the_models_folder_is_refused(many, tmp_path):
    server, folder = many
    write_linear(tmp_path / "outside")
    (folder / "link").symlink_to(tmp_path / "outside")
    assert _load(server, folder, "link")[0] == 400


def test_a_name_may_hold_anything(many):
    server, folder = many
    body = {"model_name": "a b/ü.tar.gz", "url": str(folder / "m3")}
    assert server.json("POST", "/models", body)[0] == 200
    assert _ask(server, "a%20b%2F%C3%BC.tar.gz")[1] == {"predictions": [[3.0, 0.0, 0.0, 0.0]]}


def test_a_corrupt_model_is_refused_and_the_others_live(many):
    server, folder = many
    _load(server, folder, "m2")
    (folder / "m3" / "model.onnx").write_bytes(b"\x08\x07 no model")
    status, body = _load(server, folder, "m3")
    assert status == 422
    assert "does not load" in body["error"]
    assert _ask(server, "m2")[0] == 200
    assert server.ask("GET", "/ping")[0] == 200


def test_a_model_deleted_from_disk_goes_on_serving(many):
    server, folder = many
    _load(server, folder, "m2")
    (folder / "m2" / "model.onnx").unlink()
    assert _ask(server, "m2")[0] == 200


def test_a_new_worker_loads_the_models_again(many):
    server, folder = many
    _load(server, folder, "m2")
    _load(server, folder, "m3")
    server.json("DELETE", "/models/m2")
    os.kill(server.worker(), signal.SIGKILL)
    server.wait()
    for _ in range(100):
        if _ask(server, "m3")[0] == 200:
            break
    assert _ask(server, "m3")[1] == {"predictions": [[3.0, 0.0, 0.0, 0.0]]}
    assert _ask(server, "m2")[0] == 404


def test_when_memory_is_used_up_507_and_unloading_makes_room(serve, tmp_path):
    folder = tmp_path / "models"
    for i in range(6):
        write_heavy(folder / f"m{i}", depth=8)  # 32 MB of weights each
    server = serve("--multi-model", "--models-dir", folder)
    _load(server, folder, "m0")
    resident = _resident(server)
    server.json("DELETE", "/models/m0")
    limit = resident + 3 * 34_000_000
    server = serve("--multi-model", "--models-dir", folder, memory_limit_bytes=str(limit))
    statuses = [_load(server, folder, f"m{i}")[0] for i in range(6)]
    fitted = statuses.count(200)
    assert 2 <= fitted <= 4
    assert statuses == [200] * fitted + [507] * (6 - fitted)
    full = _resident(server)
    assert server.ask("DELETE", "/models/m0")[0] == 200
    assert _resident(server) < full - 25_000_000
    assert _load(server, folder, "m5")[0] == 200
    assert _resident(server) <= limit


def test_random_load_invoke_unload_gives_no_wrong_answer(many):
    server, folder = many
    draw = random.Random(0)
    jobs = [(draw.choice("235"), draw.choices("live", [1, 1, 6, 1])[0]) for _ in range(400)]

    def do(job):
        factor, what = job
        name = f"m{factor}"
        if what == "l":
            return _load(server, folder, name)[0] in (200, 409)
        if what == "e":
            return server.ask("DELETE", f"/models/{name}")[0] in (200, 404)
        status, body = _ask(server, name, 7.0)
        return status in (404, 503) or body == {"predictions": [[7.0 * int(factor), 0, 0, 0]]}

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        assert all(pool.map(do, jobs))
    assert server.ask("GET", "/ping")[0] == 200


def _resident(server) -> int:
    with open(f"/proc/{server.worker()}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


def test_a_small_model_does_not_wait_for_a_large_one(serve, tmp_path):
    folder = tmp_path / "models"
    write_linear(folder / "small", factor=2)
    write_heavy(folder / "large")
    server = serve("--multi-model", "--models-dir", folder, lanes="1")
    for name in ("small", "large"):
        assert _load(server, folder, name)[0] == 200
    for _ in range(40):  # the server learns what it costs
        _ask(server, "small")
    rows = {"instances": [[0.5] * 1024] * 400}
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        large = pool.submit(server.json, "POST", "/models/large/invoke", rows)
        while "queued" not in str(large) and not large.running():
            pass
        answers = [_ask(server, "small")[0] for _ in range(5)]
        early = not large.done()
        assert large.result()[0] == 200
    assert answers == [200] * 5
    assert early
