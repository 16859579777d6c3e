"""The manifests of a workload: KServe's InferenceService, or Kubernetes' own kinds."""

from __future__ import annotations

from typing import Any

from workbench.deploy.render._workload import Workload, quantity

PORT = 8080
MODEL = "/opt/ml/model"
USER, LOADER_USER = 65532, 1000
"""Any but root's; the loader's own, as its image has it."""
METRIC = "onnx_server_requests_per_minute"
KSERVE, KNATIVE = "serving.kserve.io", "autoscaling.knative.dev"


def inference_service(workload: Workload) -> dict[str, Any]:
    """The image as the custom predictor; KServe loads and unpacks the archive."""
    scaling = workload.scaling
    predictor = {
        "minReplicas": scaling.least,
        "maxReplicas": scaling.most,
        **_account(workload),
        "storageUris": [{"uri": workload.archive, "mountPath": MODEL}],
        "containers": [_server(workload, "kserve-container", [_mount("tmp", "/tmp")])],
        "volumes": [_empty("tmp")],
    }
    return {
        "apiVersion": f"{KSERVE}/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": workload.name,
            "labels": _labels(workload),
            "annotations": {**workload.annotations, **_mode(workload)},
        },
        "spec": {"predictor": predictor},
    }


def _mode(workload: Workload) -> dict[str, str]:
    """Knative counts requests; as annotations, for KServe's own field takes whole ones a second."""
    scaling = workload.scaling
    if scaling.per_minute is None:
        return {f"{KSERVE}/deploymentMode": "Standard"}
    return {
        f"{KSERVE}/deploymentMode": "Knative",
        f"{KNATIVE}/metric": "rps",
        f"{KNATIVE}/target": f"{scaling.per_minute / 60:.6g}",
        f"{KNATIVE}/target-utilization-percentage": "100",
        f"{KNATIVE}/scale-down-delay": f"{scaling.in_cooldown_s}s",
    }


def plain(workload: Workload, loader: str) -> list[dict[str, Any]]:
    """Deployment and Service, and the autoscaler where replicas follow the requests."""
    labels, scaling = _labels(workload), workload.scaling
    fixed = {"replicas": scaling.least} if scaling.per_minute is None else {}
    mounts = [_mount("model", MODEL), _mount("tmp", "/tmp")]
    scraped = {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT)}
    pod = {
        **_account(workload),
        "initContainers": [
            {
                "name": "loader",
                "image": loader,
                "args": [workload.archive, MODEL],
                "env": [{"name": "AWS_DEFAULT_REGION", "value": workload.region}],
                "resources": {
                    "requests": {"cpu": "100m", "memory": "100Mi"},
                    "limits": {"cpu": "1", "memory": "1Gi"},
                },
                "securityContext": _confined(LOADER_USER),
                "volumeMounts": mounts,
            }
        ],
        "containers": [_server(workload, "server", [{**mounts[0], "readOnly": True}, mounts[1]])],
        "volumes": [_empty("model"), _empty("tmp")],
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": workload.name, "labels": labels, "annotations": dict(workload.annotations)
        },
        "spec": {
            **fixed,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels, "annotations": scraped}, "spec": pod},
        },
    }  # fmt: skip
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": workload.name, "labels": labels},
        "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": PORT}]},
    }
    return [deployment, service, *_autoscaler(workload)]


def _autoscaler(workload: Workload) -> list[dict[str, Any]]:
    scaling = workload.scaling
    if scaling.per_minute is None:
        return []
    target = {"type": "AverageValue", "averageValue": quantity(scaling.per_minute)}
    behaviour = {
        "scaleDown": {"stabilizationWindowSeconds": scaling.in_cooldown_s},
        "scaleUp": {"stabilizationWindowSeconds": scaling.out_cooldown_s},
    }
    return [
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": workload.name, "labels": _labels(workload)},
            "spec": {
                "scaleTargetRef": {
                    "apiVersion": "apps/v1", "kind": "Deployment", "name": workload.name
                },
                "minReplicas": scaling.least,
                "maxReplicas": scaling.most,
                "metrics": [
                    {"type": "Pods", "pods": {"metric": {"name": METRIC}, "target": target}}
                ],
                "behavior": behaviour,
            },
        }
    ]  # fmt: skip


def _server(workload: Workload, name: str, mounts: list[dict[str, Any]]) -> dict[str, Any]:
    environment = sorted(workload.environment.items())
    return {
        "name": name,
        "image": workload.image,
        "args": ["serve"],
        **({"env": [{"name": k, "value": v} for k, v in environment]} if environment else {}),
        "ports": [{"containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {
            "httpGet": {"path": "/ping", "port": PORT},
            "periodSeconds": 5,
            "timeoutSeconds": 2,
        },
        # Both alike: the server takes as many lanes as its limit has CPUs.
        "resources": {"requests": dict(workload.resources), "limits": dict(workload.resources)},
        "securityContext": _confined(USER),
        "volumeMounts": mounts,
    }


def _confined(user: int) -> dict[str, Any]:
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _labels(workload: Workload) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": workload.name,
        "app.kubernetes.io/managed-by": "workbench",
    }


def _account(workload: Workload) -> dict[str, str]:
    name = workload.service_account
    return {"serviceAccountName": name} if name else {}


def _mount(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "mountPath": path}


def _empty(name: str) -> dict[str, Any]:
    return {"name": name, "emptyDir": {}}
