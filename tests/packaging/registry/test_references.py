"""Names of images: what they mean, and what is refused with the way to mend it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InputError
from workbench.packaging.image.registry.references import Reference, is_loopback, parse_reference

DIGEST = "sha256:" + "0123456789abcdef" * 4
LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
HOST = st.lists(LABEL, min_size=2, max_size=4).map(".".join) | st.just("localhost")
REGISTRY = st.tuples(HOST, st.none() | st.integers(1, 65535)).map(
    lambda pair: pair[0] if pair[1] is None else f"{pair[0]}:{pair[1]}"
)
PART = st.from_regex(r"[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,6}){0,3}", fullmatch=True)
PATH = st.lists(PART, min_size=1, max_size=4).map("/".join)
TAG = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}", fullmatch=True)
HEX = st.text("0123456789abcdef", min_size=64, max_size=64)


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("debian", "docker.io/library/debian:latest"),
        ("me/app:1", "docker.io/me/app:1"),
        ("docker.io/debian:12", "docker.io/library/debian:12"),
        ("index.docker.io/me/app", "docker.io/me/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app:x", "localhost:5000/app:x"),
        ("registry:5000/a/b", "registry:5000/a/b:latest"),
        ("Registry.Example/a", "registry.example/a:latest"),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        (f"ghcr.io/me/app@{DIGEST}", f"ghcr.io/me/app@{DIGEST}"),
        (f"ghcr.io/me/app:1@{DIGEST}", f"ghcr.io/me/app:1@{DIGEST}"),
        ("10.0.0.1:80/a__b/c---d.e_f:T_1", "10.0.0.1:80/a__b/c---d.e_f:T_1"),
    ],
)
def test_a_name_means_what_it_means_to_docker(text: str, full: str) -> None:
    assert str(parse_reference(text)) == full


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("https://ghcr.io/me/app", "Leave out 'https://'"),
        ("ghcr.io/Me/App:1", "Try 'me/app'"),
        ("ghcr.io/me/app:", "A tag is"),
        ("ghcr.io/me/app:a b", "A tag is"),
        ("ghcr.io/me/app:" + "x" * 129, "A tag is"),
        ("ghcr.io/me/app@sha256:abc", "A digest is"),
        ("ghcr.io/me/app@", "A digest is"),
        ("ghcr.io/me//app", "A repository is"),
        ("ghcr.io/../etc", "A repository is"),
        ("ghcr.io/me/app/", "A repository is"),
        ("ghcr.io/", "Give REGISTRY/NAME:TAG"),
        ("", "Give REGISTRY/NAME:TAG"),
        ("ghcr.io:99999/app", "A registry is"),
        ("-x.io/app", "A registry is"),
        ("user@ghcr.io/app", "A digest is"),
        ("ghcr.io/" + "a" * 250, "at most 255"),
        ("ghcr.io/app\n", "A repository is"),
    ],
)
def test_what_is_wrong_is_said_with_its_mend(text: str, mend: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_reference(text)
    assert mend in str(caught.value)


@given(REGISTRY, PATH, st.none() | TAG, st.none() | HEX)
def test_a_valid_reference_survives_being_written(
    registry: str, path: str, tag: str | None, digest: str | None
) -> None:
    text = f"{registry}/{path}"
    text += f":{tag}" if tag else ""
    text += f"@sha256:{digest}" if digest else ""
    read = parse_reference(text)
    assert (read.registry, read.repository) == (registry, path)
    assert read.tag == (tag or (None if digest else "latest"))
    assert parse_reference(str(read)) == read


@given(st.text() | st.text(alphabet="aA0./:@-_[]", max_size=40))
def test_any_text_is_a_reference_or_an_input_error(text: str) -> None:
    try:
        read = parse_reference(text)
    except InputError as error:
        assert error.hint
    else:
        assert parse_reference(str(read)) == read
        assert ".." not in read.repository
        assert not set(str(read)) & set(" \n\t\0?#%\\")


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost:5000", True),
        ("127.0.0.1", True),
        ("127.9.9.9:80", True),
        ("[::1]:5000", True),
        ("127.0.0.1.example", False),
        ("localhost.example", False),
        ("10.0.0.1", False),
        ("0.0.0.0:80", False),
    ],
)
def test_only_loopback_is_this_machine(host: str, local: bool) -> None:
    assert is_loopback(host) is local
    assert Reference(host, "app", "1").local is local


def test_docker_hub_answers_elsewhere() -> None:
    assert parse_reference("debian").host == "registry-1.docker.io"
