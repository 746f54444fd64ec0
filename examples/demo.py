"""The tour on real handwritten digits: what netloom does, and what each of its parts buys at equal budget.

    python examples/demo.py [BUDGET] [DIRECTORY]

Every choice, the network's and the other classifiers' settings alike, is made on the validation part. The test part is
read at the end, for the best network and for the others. `netloom tour` does the same with other data.
"""

from __future__ import annotations

import sys
import time

from netloom.touring import Tour, tour


def main(budget: str | int = "4m", directory: str = "demo-report") -> Tour:
    """Run the demonstration; gives all that was measured."""
    begun = time.perf_counter()

    def tell(text: str) -> None:
        print(f"{time.perf_counter() - begun:6.0f} s   {text}", flush=True)

    found = tour("digits", budget=budget, directory=directory, progress=sys.stderr.isatty(), tell=tell)
    print(f"\n{'accuracy on the test images':<44}")
    print(f"  {'netloom (' + format(found.best_graph.num_params, ',') + ' parameters)':<34}{found.test_score:.4f}")
    for rival in found.rivals:
        print(f"  {rival.name:<34}{rival.score:.4f}")
    print("\nwhat each part bought, best validation accuracy after equally many epochs of training:")
    for step in found.ablation.steps:
        gain = found.ablation.gain(step)
        print(f"  {step:<34}{found.ablation.final(step)[0]:.4f}  {'' if gain is None else f'{gain[0]:+.4f}'}")
    for step, why in found.ablation.left_out.items():
        print(f"  {step:<34}left out: {why}")
    print(f"\nopen {found.page.resolve()}\n{'':>5}{found.report.resolve()} plays the lineage of the best network step by step")
    return found


if __name__ == "__main__":
    main(*sys.argv[1:3])
