"""The manifests, against reduced copies of KServe's and Kubernetes' schemas with their sources."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy._render_cases import CASES, COMPONENTS, TRACKING, TYPE, ZERO, deployment, share
from tests.deploy._schema import faults
from workbench.deploy.deployment import Deployment
from workbench.deploy.hosting import RealTime, TargetTracking
from workbench.deploy.render import renderers
from workbench.deploy.render.kubernetes import Kubernetes
from workbench.errors import InputError
from workbench.plugins import make_plugin
from workbench.yaml_source import parse_value

SCHEMA = json.loads(Path(__file__).with_name("kubernetes_schema.json").read_text())
VERSIONS = {
    "InferenceService": "serving.kserve.io/v1beta1",
    "Deployment": "apps/v1",
    "Service": "v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
}
RENDERED = ("real-time", "made-role", "tracking", "components", "components-two")
QUANTITY = re.compile(r"\d+(\.\d+)?(m|Ki|Mi|Gi)?")


def manifests(given: Deployment, **options: Any) -> list[dict[str, Any]]:
    """All of both files, as a reader of YAML 1.1 sees them."""
    files = Kubernetes(**options).files(given)
    texts = [text for name, text in files.items() if name.endswith(".yaml")]
    return [manifest for text in texts for manifest in yaml.safe_load_all(text)]


def of_kind(kind: str, given: Deployment, **options: Any) -> list[dict[str, Any]]:
    return [manifest for manifest in manifests(given, **options) if manifest["kind"] == kind]


def container(given: Deployment, **options: Any) -> dict[str, Any]:
    service = of_kind("InferenceService", given, **options)[0]
    found: dict[str, Any] = service["spec"]["predictor"]["containers"][0]
    return found


@pytest.mark.parametrize("options", [{}, {"service_account": "models", "cpu": "2"}])
@pytest.mark.parametrize("case", RENDERED)
def test_every_field_is_known(case: str, options: dict[str, Any]) -> None:
    for manifest in manifests(CASES[case], **options):
        kind = manifest["kind"]
        assert list(faults(manifest, SCHEMA["kinds"][kind], kind)) == []
        assert manifest["apiVersion"] == VERSIONS[kind]


def test_unknown_and_missing_ones_would_be_found() -> None:
    service = of_kind("InferenceService", CASES["tracking"])[0]
    service["spec"]["predictor"]["replicas"] = 1
    del service["spec"]["predictor"]["storageUris"][0]["uri"]
    found = list(faults(service, SCHEMA["kinds"]["InferenceService"]))
    assert len(found) == 2


@pytest.mark.parametrize("case", RENDERED)
def test_readers_of_both_yaml_versions_see_the_same(case: str) -> None:
    for name, text in Kubernetes().files(CASES[case]).items():
        if name.endswith(".yaml"):
            for part in text.split("---\n"):
                assert parse_value(part) == yaml.safe_load(part)


def test_words_of_yaml_stay_texts() -> None:
    words = {"A": "off", "B": "12:30", "C": "1e3", "D": "null", "E": "", "F": "a: b #c", "G": "y"}
    listed = container(deployment(environment=words))["env"]
    assert {entry["name"]: entry["value"] for entry in listed} == words


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("serverless", "no counterpart"),
        ("asynchronous", "in a queue"),
        ("batch", "is no service"),
        ("multi", "decided by the platform"),
        ("pipeline", "one for each stage"),
        ("timetable", "hours of the week"),
        ("two-variants", "share the traffic"),
        ("network", "are the cluster's"),
    ],
)
def test_what_a_cluster_lacks_is_refused(case: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        Kubernetes().files(CASES[case])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": "Demo"}, "no name of a Service"),
        ({"name": "1demo"}, "no name of a Service"),
        ({"name": "d" * 54}, "more than 53 characters"),
        ({"tags": {"a b": "c"}}, "cannot be an annotation"),
        ({"capture_percent": 5}, "capturing"),
        ({"hosting": RealTime(instance_type="ml.unknown.large")}, "no cpu was given"),
        ({"hosting": RealTime(instance_type="ml.inf2.xlarge")}, "AWS Inferentia2"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=why):
        Kubernetes().files(deployment(**changes))


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"in_cooldown_s": 3601}, "3600 s at most"), ({"per_instance": 0.5}, "0.6 requests a minute")],
)
def test_scaling_beyond_the_autoscalers_is_refused(changes: dict[str, Any], why: str) -> None:
    scaling = TargetTracking(**{"least": 1, "most": 2, "per_instance": 60, **changes})
    with pytest.raises(InputError, match=why):
        Kubernetes().files(deployment(RealTime(instance_type=TYPE, scaling=scaling)))


def test_the_containers_are_confined() -> None:
    for manifest in manifests(CASES["tracking"]):
        if manifest["kind"] in ("InferenceService", "Deployment"):
            spec = manifest["spec"]
            pod = spec.get("predictor") or spec["template"]["spec"]
            for one in [*pod["containers"], *pod.get("initContainers", [])]:
                context = one["securityContext"]
                assert context["runAsNonRoot"]
                assert context["runAsUser"] > 0
                assert context["readOnlyRootFilesystem"]
                assert context["capabilities"] == {"drop": ["ALL"]}
                writable = [m["mountPath"] for m in one["volumeMounts"] if not m.get("readOnly")]
                assert "/tmp" in writable


def test_the_container_is_called_as_the_platform_calls_it() -> None:
    one = container(CASES["tracking"])
    assert one["name"] == "kserve-container"
    assert one["args"] == ["serve"]
    assert one["ports"][0]["containerPort"] == 8080
    assert one["readinessProbe"]["httpGet"] == {"path": "/ping", "port": 8080}


def test_the_archive_is_unpacked_where_the_platform_puts_it() -> None:
    given = CASES["tracking"]
    archive = given.url(given.shares[0], given.shares[0].models[0])
    predictor = of_kind("InferenceService", given)[0]["spec"]["predictor"]
    assert predictor["storageUris"] == [{"uri": archive, "mountPath": "/opt/ml/model"}]
    pod = of_kind("Deployment", given, loader="x/loader:1")[0]["spec"]["template"]["spec"]
    assert pod["initContainers"][0]["image"] == "x/loader:1"
    assert pod["initContainers"][0]["args"] == [archive, "/opt/ml/model"]


def test_a_fixed_number_of_replicas() -> None:
    predictor = of_kind("InferenceService", CASES["real-time"])[0]["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (2, 2)
    assert of_kind("Deployment", CASES["real-time"])[0]["spec"]["replicas"] == 2
    assert of_kind("HorizontalPodAutoscaler", CASES["real-time"]) == []


def test_replicas_that_follow_the_requests() -> None:
    service = of_kind("InferenceService", CASES["tracking"])[0]
    annotations = service["metadata"]["annotations"]
    assert annotations["autoscaling.knative.dev/metric"] == "rps"
    assert float(annotations["autoscaling.knative.dev/target"]) == pytest.approx(1234 / 60, 1e-5)
    assert annotations["autoscaling.knative.dev/scale-down-delay"] == "99s"
    assert service["spec"]["predictor"]["maxReplicas"] == 7
    spec = of_kind("HorizontalPodAutoscaler", CASES["tracking"])[0]["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 7)
    assert spec["metrics"][0]["pods"]["target"]["averageValue"] == "1234"
    assert spec["behavior"]["scaleDown"] == {"stabilizationWindowSeconds": 99}
    assert "replicas" not in of_kind("Deployment", CASES["tracking"])[0]["spec"]


def test_components_that_go_to_zero_need_knative() -> None:
    files = Kubernetes().files(deployment(ZERO))
    assert set(files) == {"inference-service.yaml", "README.md"}
    assert "goes to zero" in files["README.md"]
    services = of_kind("InferenceService", CASES["components-two"])
    assert [service["metadata"]["name"] for service in services] == ["demo-left", "demo-right"]
    assert services[0]["spec"]["predictor"]["minReplicas"] == 0


@pytest.mark.parametrize(
    ("hosting", "options", "expected"),
    [
        (TRACKING, {}, {"cpu": "4", "memory": "8192Mi"}),
        (TRACKING, {"cpu": "500m"}, {"cpu": "500m", "memory": "8192Mi"}),
        (COMPONENTS, {}, {"cpu": "1500m", "memory": "2048Mi"}),
        (
            RealTime(instance_type="ml.g4dn.xlarge"),
            {},
            {"cpu": "4", "memory": "16384Mi", "nvidia.com/gpu": "1"},
        ),
        (
            RealTime(instance_type="ml.unknown.large"),
            {"cpu": "2", "memory": "4Gi"},
            {"cpu": "2", "memory": "4Gi"},
        ),
    ],
)
def test_what_a_pod_asks_for(hosting: Any, options: Any, expected: dict[str, str]) -> None:
    asked = container(deployment(hosting), **options)["resources"]
    assert asked == {"requests": expected, "limits": expected}


def test_quantities_and_labels_are_ones() -> None:
    for manifest in manifests(CASES["components"]):
        for word in re.findall(r'"(?:cpu|memory|averageValue)": "([^"]*)"', json.dumps(manifest)):
            assert QUANTITY.fullmatch(word)
        for value in manifest["metadata"]["labels"].values():
            assert re.fullmatch(r"[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?", value)


def test_the_service_leads_to_the_pods() -> None:
    service = of_kind("Service", CASES["tracking"])[0]["spec"]
    workload = of_kind("Deployment", CASES["tracking"])[0]["spec"]
    assert service["selector"] == workload["selector"]["matchLabels"]
    assert service["selector"] == workload["template"]["metadata"]["labels"]
    assert service["ports"] == [{"port": 80, "targetPort": 8080}]


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match="memory"):
        make_plugin(renderers(), "kubernetes", {"memory": "4 GB"}, "format")


def test_the_same_model_under_two_names_is_two_services() -> None:
    given = deployment(COMPONENTS, shares=(share(name="left"), share(name="right")))
    assert len(of_kind("Deployment", given)) == 2
