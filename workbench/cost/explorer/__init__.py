"""What a page needs to price hosting by itself, computed by the engine.

At steps of the volume, the objective and the region, each option is sized for each variant; a page
multiplies by prices and takes off discounts, which is arithmetic, and needs no engine for it.
"""

from workbench.cost.explorer.answer import CostAnswer, cost_answer
from workbench.cost.explorer.compute import Exploration, explore

__all__ = ["CostAnswer", "Exploration", "cost_answer", "explore"]
