"""``workbench ui`` on the command line: what it refuses, and how it says so."""

import socket
import sys

import pytest

from tests.end_to_end.conftest import cli

__all__ = ["cli"]

pytest.importorskip("uvicorn", reason="the extra ui is not installed")


def test_a_folder_that_is_not_there_is_refused(cli):
    done = cli("ui", "nowhere")
    assert done.code == 2
    assert "nowhere is no folder" in done.err


def test_a_run_directory_is_not_a_folder_of_runs(cli, tmp_path):
    (tmp_path / "run.json").write_text("{}")
    done = cli("ui", ".")
    assert done.code == 2
    assert "is a run directory" in done.err


def test_a_port_that_is_taken_is_told_with_a_mend(cli):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = cli("ui", ".", "--port", str(port))
    assert done.code == 2
    assert f"Port {port} is taken" in done.err
    assert "--port 0" in done.err


def test_an_address_of_another_machine_is_refused(cli):
    done = cli("ui", ".", "--host", "192.0.2.1")
    assert done.code == 2
    assert "Cannot listen on 192.0.2.1" in done.err
    assert "Whoever reaches 192.0.2.1" in done.err


def test_without_the_extra_the_package_and_the_mend_are_named(cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = cli("ui", ".")
    assert done.code == 4
    assert "pip install 'workbench[ui]'" in done.err
