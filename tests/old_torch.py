"""What torch 2.6, the oldest version that netloom works with, lacks or lets pass, test by test.

netloom's rules describe the newest torch. Whatever is not named here passes with the oldest one too (`make test-oldest`).
"""

from __future__ import annotations

#: Part of a test's id → why it says nothing under torch 2.6.
REASONS = {
    "test_rules.py::test_rule_agrees_with_torch[addmv]": "torch 2.6 adds vectors of other dtypes than the product's",
    "test_rules.py::test_rule_agrees_with_torch[batch_norm]": "torch 2.6 does not look at eps",
    "test_rules.py::test_rule_agrees_with_torch[topk]": "torch 2.6 orders a single bool",
    "test_rules.py::test_rule_agrees_with_torch[weight_norm]": "torch 2.6 takes a direction and a length of different dtypes",
    "[grouped_mm]": "torch 2.6 has no grouped_mm",
    "test_taken[Call(nansum: x=complex64[2, 3])]": "torch 2.6 has no nansum of complex numbers",
    "running_var=float32[3], eps=-1.0, training=False)]": "torch 2.6 does not look at eps",
    "test_mask_is_written_where_one_value_goes_in": "torch 2.6 takes a mask of several axes for one where a number follows",
    "python.ScriptIfTracing]": "the model calls torch.compiler.is_exporting, which torch 2.6 lacks",
    "test_training_is_exact[tensors.Statistics]": "torch 2.6 has no derivative of aminmax",
}
