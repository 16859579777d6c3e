"""What holds for every format: each kind of hosting is rendered, or refused with a reason."""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath

import pytest

from tests.deploy._render_cases import ACCOUNT, CASES, COMPONENTS, TRACKING, deployment
from workbench.deploy.hosting import RealTime
from workbench.deploy.render import renderers
from workbench.errors import InputError

ENDPOINTS = set(CASES) - {"batch"}
RENDERED = {
    "sagemaker": set(CASES),
    "cloudformation": ENDPOINTS,
    "terraform": ENDPOINTS - {"components", "components-two"},
    "kubernetes": {"real-time", "made-role", "tracking", "components", "components-two"},
}
EACH = [(format, case) for format in RENDERED for case in CASES]


def files(format: str, given: object) -> dict[str, str]:
    return dict(renderers()[format]().files(given))  # type: ignore[arg-type]


def test_these_are_the_formats() -> None:
    assert set(renderers()) == set(RENDERED)
    assert all(renderer.title() for renderer in renderers().values())


@pytest.mark.parametrize(("format", "case"), EACH)
def test_every_hosting_is_rendered_or_refused_with_the_reason(format: str, case: str) -> None:
    if case not in RENDERED[format]:
        with pytest.raises(InputError, match=r"cannot express this deployment: .+") as caught:
            files(format, CASES[case])
        assert caught.value.hint
        return
    texts = files(format, CASES[case])
    assert "README.md" in texts
    for name, text in texts.items():
        assert PurePosixPath(name).name == name
        assert text.endswith("\n")
        assert "\n\n\n" not in text
        if name.endswith(".json"):
            json.loads(text)


@pytest.mark.parametrize("format", RENDERED)
def test_equal_deployments_give_equal_files(format: str) -> None:
    first = files(format, deployment(TRACKING, environment={"A": "1", "B": "2"}))
    second = files(format, deployment(TRACKING.model_copy(), environment={"A": "1", "B": "2"}))
    assert first == second


@pytest.mark.parametrize("format", RENDERED)
def test_a_changed_figure_appears(format: str) -> None:
    def rendered(most: int) -> str:
        scaling = TRACKING.scaling.model_copy(update={"most": most})  # type: ignore[union-attr]
        hosting = RealTime(instance_type=TRACKING.instance_type, scaling=scaling)
        return "".join(files(format, deployment(hosting)).values())

    assert "813" not in rendered(7)
    assert "813" in rendered(813)
    assert "1234" in rendered(7)


@pytest.mark.parametrize("format", ["sagemaker", "cloudformation", "kubernetes"])
def test_a_components_figures_appear(format: str) -> None:
    hosting = COMPONENTS.model_copy(update={"most_copies": 17, "memory_mb": 3333})
    text = "".join(files(format, deployment(hosting)).values())
    assert "17" in text
    assert "3333" in text


@pytest.mark.parametrize("format", RENDERED)
def test_no_account_but_the_given_one_is_in_it(format: str) -> None:
    for case in RENDERED[format]:
        for text in files(format, CASES[case]).values():
            assert set(re.findall(r"(?<![\w])\d{12}(?!\w)", text)) <= {ACCOUNT}


@pytest.mark.parametrize("format", ["cloudformation", "terraform", "kubernetes"])
def test_a_made_role_needs_no_account(format: str) -> None:
    given = deployment(role="demo-execution", account="", image="public.ecr.aws/x/onnx-server:1")
    assert not re.search(r"\d{12}", "".join(files(format, given).values()))


def test_calls_of_a_made_role_need_the_account() -> None:
    with pytest.raises(InputError, match="has the account in it"):
        files("sagemaker", deployment(role="demo-execution", account=""))
