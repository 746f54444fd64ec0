"""For those who extend netloom: generated examples and the suites that hold extensions to their contracts.

`netloom.testing` needs hypothesis (``pip install hypothesis``), which netloom itself does not.
"""

from __future__ import annotations

try:
    import hypothesis  # noqa: F401  (named here, so that its absence is reported with the mend)
except ImportError as error:
    raise ImportError("netloom.testing needs hypothesis; install it with: pip install hypothesis") from error

from .capturing import check_calls, check_written
from .conformance import (
    check_cost,
    check_rule,
    check_strange,
    check_template,
)
from .couplings import check_couplings, check_zeroes
from .dimensions import check_dims, check_free_sizes, check_ties
from .execution import with_computed_weights
from .expressions import written_calls
from .operators import EXAMPLES, Call, Operand, altered, operator_calls, strange
from .predictors import check_predictor
from .spaces import check_space
from .strategies import check_strategy

__all__ = [
    "Call", "EXAMPLES", "Operand", "altered", "check_calls", "check_cost", "check_couplings", "check_dims",
    "check_free_sizes", "check_predictor", "check_rule", "check_space", "check_strange", "check_strategy",
    "check_template", "check_ties", "check_written", "check_zeroes", "operator_calls", "strange",
    "with_computed_weights", "written_calls",
]  # fmt: skip
