"""Memory that is freed is kept: later blocks of the same size fault in no pages, in processes of their own."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="Python does not use glibc's allocator here")
#: Without what the user may have set.
KEPT = {**os.environ, "NETLOOM_KEEP_MEMORY": "1"}

COUNT = """
import resource, torch
from netloom.measure.kept_memory import keep_freed
print(keep_freed())
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(10_000_000).sum()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


def counted(kept: str) -> tuple[str, int]:
    """Whether memory is kept, and how many pages five blocks of 40 MB fault in when they are made again."""
    done = subprocess.run([sys.executable, "-c", COUNT], env={**KEPT, "NETLOOM_KEEP_MEMORY": kept}, capture_output=True,
                          text=True, check=True)  # fmt: skip
    said, faults = done.stdout.split()
    return said, int(faults)


def test_blocks_that_were_freed_are_used_again_without_new_pages():
    said, faults = counted("1")
    assert said == "True" and faults < 200


def test_the_variable_leaves_the_allocator_as_it_is():
    said, faults = counted("0")
    assert said == "False" and faults > 5 * 10_000_000 * 4 / (2 << 20)  # a huge page each, where the system gives them unasked


def test_a_limit_on_addresses_is_no_error():
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "from netloom.measure.kept_memory import keep_freed; print(keep_freed())"
    )
    done = subprocess.run([sys.executable, "-c", code], env=KEPT, capture_output=True, text=True)
    assert done.stdout.split() == ["True"], done.stderr


HELD = """
import os, torch
from netloom.training import Limits, run_loop
from netloom.measure import kept_memory
from netloom.measure.kept_memory import resident_bytes
kept_memory.MOST_KEPT = 512 << 20
class Learner:
    def step(self, batch):
        sum(torch.ones(5_000_000) for _ in range(40))
        held = [torch.ones(5_000_000) for _ in range(40)]
        small = [torch.ones(1000) for _ in range(50)]
        del held
        self.resident, self.small = resident_bytes(os.getpid()), small
        return 1.0
    def train_score(self): return 0.0
    def snapshot(self): return {}
    def state_dict(self): return {}
    def load_state_dict(self, state): pass
learner = Learner()
run_loop(learner, lambda epoch, first: [1, 2])
print(learner.resident, resident_bytes(os.getpid()))
"""


def test_a_training_that_took_much_memory_gives_it_back_at_its_end():
    done = subprocess.run([sys.executable, "-c", HELD], env=KEPT, capture_output=True, text=True, check=True)
    during, after = map(int, done.stdout.split())
    assert during > 800_000_000 and after < during - 700_000_000
