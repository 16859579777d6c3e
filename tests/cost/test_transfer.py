"""From the measured machine to another: a range, aware of instruction sets."""

from __future__ import annotations

from decimal import Decimal

import pytest

from workbench.cost.catalog import InstanceType
from workbench.cost.profile import Point, ServiceProfile
from workbench.cost.transfer import physical_cores, transfer

VNNI = ("avx2", "avx512", "avx512_vnni")


def profile(isa=VNNI, integer=True, cpu="AMD EPYC") -> ServiceProfile:
    return ServiceProfile(
        name="int8", cpu=cpu, isa=isa, cores=2, measured="2026-11-25", integer=integer,
        latency=(Point(mean_ms=4.0),),
    )  # fmt: skip


def kind(isa, name="ml.c6i.large", architecture="x86_64", cores=1) -> InstanceType:
    return InstanceType(
        name=name, family=name.split(".")[-2], vcpus=2, cores=cores, memory_gib=Decimal(4),
        architecture=architecture, cpu="a CPU", isa=isa, source="a test", as_of="2026",
    )  # fmt: skip


def test_an_int8_gain_is_not_carried_to_a_cpu_without_vnni():
    lost = transfer(profile(), kind(("avx2", "avx512"), "ml.c5.large")).speed
    kept = transfer(profile(), kind(VNNI)).speed
    assert lost.mid < kept.mid
    assert lost.high <= 1.0


def test_an_int8_loss_without_vnni_is_not_carried_to_a_cpu_with_it():
    gained = transfer(profile(isa=("avx2",)), kind(VNNI)).speed
    assert gained.low >= 1.0
    assert gained.mid > 1.0


def test_fp32_does_not_care_for_vnni():
    speeds = [
        transfer(profile(integer=False), kind(isa)).speed for isa in (VNNI, ("avx2", "avx512"))
    ]
    assert speeds[0] == speeds[1]


def test_arm_and_unknown_cpus_have_the_widest_ranges_and_say_that_they_are_assumed():
    near = transfer(profile(), kind(VNNI)).speed
    for target in (kind(("neon", "sve"), "ml.c7g.large", "arm64"), kind(None)):
        made = transfer(profile(), target)
        assert made.speed.low < near.low
        assert made.basis.startswith("assumed")


def test_a_measurement_on_the_family_itself_needs_no_range():
    made = transfer(profile(cpu="ml.c6i.xlarge"), kind(VNNI))
    assert made.basis == "measured"
    assert made.speed.low == made.speed.high == 1.0


@pytest.mark.parametrize(("cores", "expected"), [(4, 4), (None, 1)])
def test_two_vcpus_are_a_physical_core_where_it_is_not_told(cores, expected):
    assert physical_cores(kind(VNNI, cores=cores)) == expected
