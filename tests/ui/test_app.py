"""What the application answers, and what it refuses; by Starlette's own client."""

import html
import json
import shutil

import pytest

from tests.ui.runs import copy_as

pytest.importorskip("starlette", reason="the extra ui is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

HOSTILE = "<img src=x onerror=alert(1)>\"'&"


@pytest.fixture
def folder(tmp_path, made):
    runs = tmp_path / "runs"
    shutil.copytree(made.parent, runs)
    return runs


@pytest.fixture
def client(folder):
    from starlette.testclient import TestClient

    from workbench.ui.app import create_app

    return TestClient(
        create_app(folder), base_url="http://127.0.0.1:8000", raise_server_exceptions=False
    )


def test_the_list_shows_each_run_and_flags_smoke_runs_and_corrupt_ones(client, folder, made):
    copy_as(made, folder / "tiny-smoke", smoke=True)
    (folder / "broken").mkdir()
    (folder / "broken" / "run.json").write_text('{"schema_version": 1')
    (folder / "no-baseline").mkdir()
    record = json.loads((made / "run.json").read_text())
    for variant in record["variants"]:
        variant["baseline"] = False
    (folder / "no-baseline" / "run.json").write_text(json.dumps(record))
    (folder / "no-size").mkdir()
    record = json.loads((made / "run.json").read_text())
    record["variants"][0]["measurement"]["footprint"]["size_bytes"] = 0
    (folder / "no-size" / "run.json").write_text(json.dumps(record))
    answer = client.get("/")
    assert answer.status_code == 200
    assert 'href="/runs/tiny"' in answer.text
    assert "its figures make no sense: division by zero" in answer.text
    assert '<span class="tag">smoke</span>' in answer.text
    assert "broken" in answer.text
    assert "cannot be read" in answer.text
    assert 'href="/runs/broken"' not in answer.text
    assert "names no baseline" in answer.text
    assert "5 runs" in answer.text


def test_an_empty_folder_says_how_to_make_a_run(tmp_path):
    from starlette.testclient import TestClient

    from workbench.ui.app import create_app

    answer = TestClient(create_app(tmp_path), base_url="http://localhost").get("/")
    assert answer.status_code == 200
    assert "workbench run RECIPE" in answer.text


def test_a_run_shows_the_grids_of_the_report(client):
    answer = client.get("/runs/tiny")
    assert answer.status_code == 200
    assert "What each step did" in answer.text
    assert 'href="/runs/tiny/report.html"' in answer.text


def test_following_a_run_that_has_ended_well_leads_to_the_run(client):
    answer = client.get("/progress/tiny", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/runs/tiny")
    assert '"state": "gone"' in client.get("/progress/tiny/events").text


def test_a_run_that_ends_while_it_is_looked_at_is_no_error(client, folder, monkeypatch):
    gone = folder / ".progress" / "tiny.jsonl"
    monkeypatch.setattr("workbench.ui.app.progress_logs", lambda folder: {"tiny": gone})
    answer = client.get("/progress/tiny", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/runs/tiny")
    assert client.get("/under-way").json()["html"].strip() == ""


def test_two_runs_are_compared_and_one_is_refused(client, folder, made):
    copy_as(made, folder / "other", created="2026-01-01T00:00:00+00:00")
    answer = client.get("/compare?run=tiny&run=other")
    assert answer.status_code == 200
    assert "2 runs side by side" in answer.text
    alone = client.get("/compare?run=tiny")
    assert alone.status_code == 400
    assert "nothing to compare" in alone.text
    assert client.get("/compare?run=tiny&run=absent").status_code == 404


def test_a_report_is_a_document_of_its_own_origin_that_reaches_nothing(client, folder):
    answer = client.get("/runs/tiny/report.html")
    assert answer.status_code == 200
    assert answer.content == (folder / "tiny" / "report.html").read_bytes()
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts")
    assert "allow-same-origin" not in policy
    assert "connect-src 'none'" in policy


@pytest.mark.parametrize(
    "path",
    [
        "/runs/..%2f..%2fetc/run.json",
        "/runs/%2e%2e/run.json",
        "/runs/tiny/..%2f..%2fsecret",
        "/runs/tiny/variants",
        "/runs/tiny/manifest.json",
        "/runs/.progress",
        "/runs/.progress/run.json",
        "/progress/..%2ftiny%2frun",
        "/progress/absent/events",
        "/runs/tiny%00",
        "/runs/absent",
        "/etc/passwd",
    ],
)
def test_nothing_outside_the_list_is_found(client, folder, path):
    (folder.parent / "secret").write_text("secret")
    answer = client.get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text.replace(path, "")


def test_links_that_lead_out_of_the_folder_are_not_followed(client, folder, made, tmp_path):
    outside = copy_as(made, tmp_path / "outside")
    (folder / "linked").symlink_to(outside)
    half = copy_as(made, folder / "half")
    (tmp_path / "secret.html").write_text("secret")
    (half / "report.html").symlink_to(tmp_path / "secret.html")
    logs = folder / ".progress"
    logs.mkdir(exist_ok=True)
    (logs / "out.jsonl").symlink_to(tmp_path / "secret.html")
    listed = client.get("/").text
    assert 'href="/runs/linked"' not in listed
    assert client.get("/runs/linked").status_code == 404
    assert 'href="/runs/half"' in listed
    assert "report.html" not in client.get("/runs/half").text
    assert client.get("/runs/half/report.html").status_code == 404
    assert client.get("/progress/out").status_code == 404


def test_hostile_names_and_texts_are_text(client, folder, made):
    name = HOSTILE.replace("/", "")
    copy_as(made, folder / name, model=HOSTILE, task=HOSTILE)
    for address in ("/", "/runs/tiny", f"/compare?run=tiny&run={_quoted(name)}"):
        answer = client.get(address)
        assert answer.status_code == 200, answer.text
        assert "<img" not in answer.text
        assert html.escape(name) in answer.text
    answer = client.get(f"/runs/{_quoted(name)}")
    assert answer.status_code == 200
    assert "<img" not in answer.text
    assert "<img" not in client.get(f"/runs/{_quoted('<img src=x>')}").text


def test_marks_that_turn_the_direction_of_text_are_shown(client, folder, made):
    copy_as(made, folder / "evil\u202etxt")
    answer = client.get("/")
    assert "evil\\u202etxt" in answer.text
    assert client.get("/runs/evil%E2%80%AEtxt").status_code == 200


def _quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8000", 200),
        ("192.168.1.7:8000", 200),
        ("evil.example", 421),
        ("evil.example:8000", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("[::1", 421),
        ("[::1]evil.example", 421),
        ("", 421),
    ],
)
def test_a_name_that_a_web_site_could_give_itself_is_refused(client, host, status):
    assert client.get("/", headers={"host": host}).status_code == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_only_reading_is_possible(client, method):
    assert client.request(method, "/").status_code == 405
    assert client.request(method, "/runs/tiny").status_code == 405


def test_every_answer_forbids_framing_sniffing_and_caching(client):
    for address in ("/", "/runs/absent", "/runs/tiny/run.json", "/under-way"):
        headers = client.get(address).headers
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_a_page_lets_no_script_run_but_its_own(client):
    page = client.get("/").text
    policy = page.partition('http-equiv="Content-Security-Policy" content="')[2].partition('"')[0]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy.partition("script-src")[2].partition(";")[0]


def test_the_list_tells_a_page_when_it_has_changed(client, folder, made):
    before = client.get("/under-way").json()["stamp"]
    assert client.get("/under-way").json()["stamp"] == before
    copy_as(made, folder / "new")
    assert client.get("/under-way").json()["stamp"] != before
