"""Draw latents from the normal, build their networks, and see how they survive conversion to latents and back.

    python examples/netformer_inference.py [--model mlp] [-n 5] [--seed 0]

MODEL is a file that `netformer_train.py` wrote, or ``mlp``, which comes with netloom. Edge accuracy is the share of a network's
edges that are in its reconstruction with the same sign, neurons matched; cosines are those of all weights, and of the values of
the last hidden layer on random inputs, so the last layer is left out.
"""

from __future__ import annotations

import argparse

import torch

import netloom as nl


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", default="mlp")
    arguments.add_argument("-n", type=int, default=5)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    torch.set_num_threads(1)

    former = nl.netformer.load(given.model)
    networks = former.sample(given.n, seed=given.seed)
    x = torch.randn(256, former.family.max_inputs, generator=torch.Generator().manual_seed(0))
    for number, network in enumerate(networks):
        layers = " – ".join(node.op if node.op != "linear" else str(node.out_size) for node in network.graph.nodes[1:])
        with torch.no_grad():
            outputs = network(x[:, : network.graph.inputs[0].shape[1]])
        print(f"network {number}: {layers}; answers {float(outputs.mean()):+.2f} ± {float(outputs.std()):.2f}")

    report = former.evaluate(networks)
    print(f"\nafter conversion to {former.size} latents and back:")
    print(f"  edge accuracy              {report.edge_accuracy:.3f}")
    print(f"  cosine distance, weights   {1 - report.weights:.3f}")
    print(f"  cosine distance, values    {1 - report.activations_matched:.3f}   (last hidden layer, neurons matched)")
    print(f"  functional R², median      {report.median:.3f}")
    print(f"  architecture recovered     {report.recovery:.0%}")


if __name__ == "__main__":
    main()
