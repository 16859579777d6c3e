"""One self-contained document: what is embedded cannot break out, and nothing is fetched."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report.recorded import HOSTILE
from workbench.report.html.page import LIBRARIES, json_for_script, page, text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=40)
@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_data_in_a_script_reads_back_and_cannot_end_it(data):
    found = json_for_script(data)
    assert json.loads(found) == data
    assert not set("<>&\u2028\u2029") & set(found)


def test_data_that_is_no_json_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        json_for_script({"p50": float("nan")})


@given(st.text())
def test_text_has_no_markup_and_turns_no_direction(value):
    found = text(value)
    assert not re.search("[<>\"'\u202a-\u202e\u2066-\u2069]", found)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_titles_and_data_stay_what_they_are(name):
    made = page(name, "", data={"name": name}, charts=False)
    assert name not in made
    assert f"<title>{text(name)}</title>" in made
    [data] = re.findall(r'id="data">(.*?)</script>', made)
    assert json.loads(data) == {"name": name}


def test_the_policy_lets_the_page_s_own_scripts_run_and_no_other():
    made = page("t", "", data={}, scripts=["console.log(1)"])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', made)[1]
    sources = re.findall(r"<script>(.*?)</script>", made, re.DOTALL)
    assert len(sources) == 4 + len(LIBRARIES)
    for source in sources:
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "script-src 'unsafe-inline'" not in policy
    assert "connect-src" not in policy


def test_only_a_served_page_may_fetch_and_from_its_server_alone():
    assert "connect-src 'self'" in page("t", "", data={}, charts=False, served=True)


@pytest.mark.parametrize("source", ["</script>", "x = '</SCRIPT>'", "<!-- x"])
def test_a_source_that_would_end_its_element_is_refused(source):
    with pytest.raises(ValueError, match="would end"):
        page("t", "", data={}, scripts=[source])


def test_third_parties_scripts_are_those_that_the_lock_names():
    vendor = files("workbench.report.vendor")
    lock = json.loads(vendor.joinpath("lock.json").read_text())
    assert set(lock) == set(LIBRARIES)
    for name, entry in lock.items():
        content = vendor.joinpath(name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        assert entry["version"] in content[:200].decode()
        assert "Permission to use" in vendor.joinpath(entry["licence_file"]).read_text()
