"""Limits and how SageMaker scales."""

import pytest

from workbench.cost.catalog import autoscaling
from workbench.cost.catalog.limits import limit, limits
from workbench.errors import InputError


@pytest.mark.parametrize(
    ("mode", "name", "value"),
    [
        ("real_time", "payload_bytes_max", 25 * 2**20),
        ("real_time", "timeout_s", 60),
        ("serverless", "payload_bytes_max", 4 * 2**20),
        ("serverless", "memory_mb", [1024, 2048, 3072, 4096, 5120, 6144]),
        ("serverless", "max_concurrency_per_endpoint", 200),
        ("asynchronous", "payload_bytes_max", 2**30),
        ("asynchronous", "invocation_timeout_s", 3600),
        ("batch_transform", "payload_bytes_max", 100 * 2**20),
        ("multi_container_endpoint", "containers_max", 15),
        ("lambda", "memory_mb", 10240),
    ],
)
def test_a_limit(mode, name, value):
    assert limit(mode, name).value == value


def test_every_limit_has_text_source_and_date():
    for entries in limits().values():
        for name, entry in entries.items():
            assert entry.text, name
            assert len(entry.source) > 5, name
            assert entry.as_of == "undated" or entry.as_of[:2] == "20", name
            if entry.least is not None and entry.most is not None:
                assert entry.least <= entry.most


def test_the_default_of_async_is_not_its_limit():
    assert limit("asynchronous", "invocation_timeout_s").default == 900


def test_a_slip_is_named():
    with pytest.raises(InputError, match="Did you mean 'serverless'"):
        limit("serverles", "timeout_s")
    with pytest.raises(InputError, match="Did you mean 'timeout_s'"):
        limit("serverless", "timeout")


def test_alarms_of_target_tracking():
    assert autoscaling.SCALE_OUT_ALARM.seconds == 180
    assert autoscaling.SCALE_IN_ALARM.seconds == 900
    assert autoscaling.HIGH_RESOLUTION_IN_ALARM.seconds == 900


def test_all_figures_have_source_and_date():
    found = autoscaling.figures()
    assert len(found) >= 18
    for figure in found.values():
        assert figure.source
        assert figure.as_of[:2] == "20"
