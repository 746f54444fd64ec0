"""How all tests run: one thread, no network, generated examples that are the same every time."""

from __future__ import annotations

import os
import tempfile

# Read by torch when it is first imported, also in the processes that tests start.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# What tests decode or fetch stays out of the user's own cache.
CACHE = tempfile.TemporaryDirectory(prefix="netloom-tests-")
os.environ["NETLOOM_CACHE"] = CACHE.name

# After the environment is set:
import pytest  # noqa: E402
import torch  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from tests.old_torch import REASONS  # noqa: E402

# Seconds differ between machines, so no test fails by its time; a failure is found again by running the test again.
settings.register_profile(
    "netloom",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("netloom")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with its reason, what the oldest torch lacks."""
    if not torch.__version__.startswith("2.6."):
        return
    for item in items:
        for part, reason in REASONS.items():
            if part in item.nodeid:
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was not tested for want of PostgreSQL: a skip among thousands of dots is not seen."""
    skipped = [
        report for report in terminalreporter.stats.get("skipped", []) if "PostgreSQL is not installed" in str(report.longrepr)
    ]
    if skipped:
        terminalreporter.section("PostgreSQL is absent", red=True, bold=True)
        told = f"{len(skipped)} tests were skipped: the store's promises are NOT held against a server here."
        terminalreporter.line(f"{told} apt-get install postgresql", red=True)
