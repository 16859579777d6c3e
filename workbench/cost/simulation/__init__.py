"""Simulations of a month for what has no closed form: capacity that follows the load.

Each function takes the expected requests of every minute and returns a frozen record. What comes
and how long it takes is drawn with a seed, so that the same arguments give the same result.
"""

from workbench.cost.simulation.multi_model import simulate_multi_model
from workbench.cost.simulation.results import (
    Answers,
    MultiModelResult,
    ScalingResult,
    ServerlessResult,
    ZeroScalingResult,
)
from workbench.cost.simulation.scaling import Scheduled, every_day, simulate_target_tracking
from workbench.cost.simulation.serverless import simulate_serverless
from workbench.cost.simulation.zero import simulate_scale_to_zero

__all__ = [
    "Answers",
    "MultiModelResult",
    "ScalingResult",
    "Scheduled",
    "ServerlessResult",
    "ZeroScalingResult",
    "every_day",
    "simulate_multi_model",
    "simulate_scale_to_zero",
    "simulate_serverless",
    "simulate_target_tracking",
]
