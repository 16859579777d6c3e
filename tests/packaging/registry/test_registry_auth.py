"""What a registry is told about who asks, and that nobody else is told it."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.packaging.registry.fake_registry import Asked, FakeRegistry, Fault
from tests.packaging.registry.registries import BIG, make_image
from workbench.errors import InputError, MissingError, StepError
from workbench.packaging.image.parts import Image
from workbench.packaging.image.registry import Credentials, pull, push
from workbench.packaging.image.registry.auth import parse_challenges

ME = Credentials("me", "pw")
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("headers", "read"),
    [
        (['Basic realm="a"'], {"basic": {"realm": "a"}}),
        (
            ['Bearer realm="https://a/t?x=1",service="s",scope="repository:a:pull,push"'],
            {"bearer": {"realm": "https://a/t?x=1", "service": "s",
                        "scope": "repository:a:pull,push"}},
        ),
        (['Basic realm="a", bearer Realm=b , service="c\\"d"'],
         {"basic": {"realm": "a"}, "bearer": {"realm": "b", "service": 'c"d'}}),
        (["Negotiate", "Basic realm=x"], {"negotiate": {}, "basic": {"realm": "x"}}),
        ([""], {}),
    ],
)  # fmt: skip
def test_challenges_are_read(headers: list[str], read: dict[str, dict[str, str]]) -> None:
    assert parse_challenges(headers) == read


@given(st.lists(st.text() | st.text(alphabet='Basic ="\\,\t'), max_size=3))
def test_no_challenge_breaks_the_reading(headers: list[str]) -> None:
    parse_challenges(headers)


class TokenService:
    """Gives tokens at ``/token`` of a fake registry, and lets only the newest in."""

    def __init__(self, fake: FakeRegistry, users: dict[str, str]) -> None:
        self.fake, self.users = fake, users
        self.newest = ""
        self.asked: list[Asked] = []
        fake.authorize = lambda header: header == f"Bearer {self.newest}"
        fake.challenge = f'Bearer realm="http://{fake.host}/token",service="fake"'
        fake.other = self.answer

    def answer(self, asked: Asked) -> tuple[int, dict[str, str], bytes] | None:
        if not asked.path.startswith("/token"):
            return None
        self.asked.append(asked)
        if asked.authorization not in self.users.values() and asked.method == "GET":
            return 401, {}, b'{"details":"incorrect username or password"}'
        self.newest = f"token-{len(self.asked)}"
        name = "token" if asked.method == "GET" else "access_token"
        return 200, {}, json.dumps({name: self.newest}).encode()


@pytest.fixture
def service(fake: FakeRegistry) -> TokenService:
    return TokenService(fake, {"me": ME.basic})


def test_a_token_is_got_once_for_all_that_is_done(
    service: TokenService, image: Image, tmp_path: Path
) -> None:
    host = service.fake.host
    push(image, f"{host}/team/app:1", credentials=ME)
    assert len(service.asked) == 1
    query = parse_qs(urlsplit(service.asked[0].path).query)
    assert query == {"service": ["fake"], "scope": ["repository:team/app:pull,push"]}
    pull(f"{host}/team/app:1", tmp_path / "pulled", credentials=ME)
    assert "repository%3Ateam%2Fapp%3Apull" in service.asked[1].path
    others = [asked for asked in service.fake.asked if not asked.path.startswith("/token")]
    assert not any(asked.authorization.startswith("Basic") for asked in others)


def test_a_token_is_got_without_credentials_where_that_is_allowed(
    service: TokenService, image: Image
) -> None:
    service.users["nobody"] = ""
    push(image, f"{service.fake.host}/app:1")
    assert service.asked[0].authorization == ""


def test_a_token_that_ran_out_is_got_anew(service: TokenService, tmp_path: Path) -> None:
    made = make_image(tmp_path / "made", BIG)

    def expire(asked: Asked) -> tuple[int, dict[str, str], bytes] | None:
        if asked.method == "PATCH" and len(service.asked) == 1:
            service.newest = "another"
        return service.answer(asked)

    service.fake.other = expire
    push(made, f"{service.fake.host}/app:1", credentials=ME)
    assert len(service.asked) == 2


def test_an_identity_token_is_exchanged(service: TokenService, image: Image) -> None:
    push(image, f"{service.fake.host}/app:1", credentials=Credentials("", "identity"))
    asked = service.asked[0]
    form = parse_qs(asked.body.decode())
    assert asked.method == "POST"
    assert form["grant_type"] == ["refresh_token"]
    assert form["refresh_token"] == ["identity"]
    assert form["scope"] == ["repository:app:pull,push"]


def test_refused_credentials_are_named(service: TokenService, image: Image) -> None:
    wrong = Credentials("me", "wrong", "a test")
    with pytest.raises(InputError, match=r"refuses the credentials of me \(from a test\)") as error:
        push(image, f"{service.fake.host}/app:1", credentials=wrong)
    assert "docker login" in str(error.value)
    with pytest.raises(MissingError, match="none were found in WORKBENCH_REGISTRY_USER"):
        push(image, f"{service.fake.host}/app:1")


def test_a_busy_token_service_is_asked_again(
    service: TokenService, image: Image, waits: list[float]
) -> None:
    service.fake.faults = [Fault("GET", "/token", status=503)]
    push(image, f"{service.fake.host}/app:1", credentials=ME)
    assert len(waits) == 1


def test_a_token_that_does_not_serve_is_no_endless_loop(
    service: TokenService, image: Image
) -> None:
    service.fake.authorize = lambda header: False
    with pytest.raises(InputError, match="refuses me"):
        push(image, f"{service.fake.host}/app:1", credentials=ME)
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("challenge", "message"),
    [
        ("Negotiate", "asks for 'negotiate'"),
        ('Bearer service="x"', "names no place"),
        ('Bearer realm="http://auth.example/token"', "anybody on the way can read"),
    ],
)
def test_other_challenges_are_refused(
    fake: FakeRegistry, image: Image, challenge: str, message: str
) -> None:
    fake.authorize, fake.challenge = lambda header: False, challenge
    with pytest.raises((StepError, InputError), match=message):
        push(image, f"{fake.host}/app:1", credentials=ME)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"<html>", b'{"token": null}'])
def test_a_token_service_that_gives_none_is_named(
    service: TokenService, image: Image, body: bytes
) -> None:
    service.fake.faults = [Fault("GET", "/token", status=200, body=body)]
    with pytest.raises(StepError, match="gives no token for repository:app:pull,push"):
        push(image, f"{service.fake.host}/app:1", credentials=ME)


@pytest.mark.parametrize("status", [401, 403])
def test_a_registry_that_forbids_says_who_asked(
    fake: FakeRegistry, image: Image, status: int
) -> None:
    fake.authorize = lambda header: header == ME.basic
    body = b'{"errors":[{"code":"DENIED","message":"read only"}]}'
    fake.faults = [Fault("POST", "", status=status, body=body)]
    with pytest.raises(InputError, match=r"me \(from the caller\).*: DENIED: read only"):
        push(image, f"{fake.host}/app:1", credentials=ME)
