"""The tour: what netloom is, shown on one task; and the ablation, what each of its parts buys at equal budget."""

from .ablation import STEPS, Ablation, Run, Step, ablate
from .guided_tour import Tour, tour

__all__ = ["STEPS", "Ablation", "Run", "Step", "Tour", "ablate", "tour"]
