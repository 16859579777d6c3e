"""Which machines' latencies can be held against each other."""

import pytest

from tests.check.conftest import HERE
from workbench.machine import same_machine


def test_a_machine_is_the_same_whatever_its_load_and_python():
    later = HERE.model_copy(update={"load_average": 9.0, "python": "3.12", "memory_bytes": 1})
    assert same_machine(HERE, later) == ()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"cpu": "another"}, "CPU: a CPU against another"),
        ({"isa": ("avx2", "avx512_vnni")}, "instruction sets: avx2 against avx2 avx512_vnni"),
        ({"cores": 8}, "cores: 2 against 8"),
        ({"gpu": "H100"}, "GPU: none against H100"),
        ({"governor": "powersave"}, "clock governor: none against powersave"),
        ({"instance_type": "ml.c7i.xlarge"}, "instance type: none against ml.c7i.xlarge"),
        ({"versions": {"onnxruntime": "1.31.0"}}, "onnxruntime: 1.30.0 against 1.31.0"),
    ],
)
def test_what_differs_is_named_with_both_values(change, told):
    assert same_machine(HERE, HERE.model_copy(update=change)) == (told,)
