"""90 % on CIFAR-10 in less than 40 minutes on two processor cores, from a network written with netloom's builder.

    python examples/cifar10_90.py FOLDER [--epochs 28] [--checkpoint DIR]

FOLDER holds CIFAR-10 as Parquet files, python batches or class folders; without one it is fetched. A residual network of 1.9
million parameters and 114 million multiply–adds learns in bfloat16, with channels last: on processors that multiply bfloat16
(AMX, AVX-512 BF16) that is two to three times as fast as float32. Muon takes a fifth more time a step than SGD and learns more
from it: after six epochs on 12,500 images 81.6 % instead of 78.4 %. Convolutions come before pooling and norms after it, so
that those work on a quarter of the numbers. 1,024 training images are held out to watch; the test part is read once, at last.

Measured on JPEG copies of the images, one run each: 90.1 % of the test images after 33.1 minutes; 89.4 % after 18.1 minutes
by 16 epochs without cutout.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch

import netloom as nl

RECIPE = nl.training.Recipe(
    epochs=28, batch_size=128, optimizer="muon", momentum=0.95, nesterov=True, learning_rate=0.02, weight_decay=0.05,
    decay_biases=False, schedule="linear", warmup=0.2, label_smoothing=0.1, clip_norm=None, crop=4, flip=True, cutout=8,
    precision="bfloat16", channels_last=True,
)  # fmt: skip


def network(widths: tuple[int, ...] = (32, 64, 128, 256), classes: int = 10) -> nl.Graph:
    """A stem, and three stages that halve the image: convolution, pooling, and a residual block of two convolutions each."""
    x = nl.input(3, 32, 32)
    y = convolution(x, widths[0])
    for width in widths[1:]:
        y = convolution(y, width, pool=True)
        y = y + convolution(convolution(y, width), width)
    # Logits that begin small keep the first steps of a high learning rate in bounds.
    return nl.Graph(x, nl.linear(nl.flatten(nl.adaptive_max_pool2d(y, 1)), classes) * 0.125)


def convolution(x: Any, width: int, *, pool: bool = False) -> Any:
    """3×3 convolution, maximum over 2×2 where asked for, batch norm, ReLU."""
    y = nl.conv2d(x, width, kernel=3, padding=1, bias=False)
    if pool:
        y = nl.max_pool2d(y, kernel=2)
    return nl.relu(nl.batch_norm(y))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="where CIFAR-10 is (default: fetch it)")
    parser.add_argument("--epochs", type=int, default=RECIPE.epochs, help=f"default: {RECIPE.epochs}")
    parser.add_argument("--threads", type=int, default=2, help="default: 2")
    parser.add_argument("--checkpoint", metavar="DIR", help="keep the state here; the same command goes on from it")
    parser.add_argument("--plot", metavar="FILE", default="cifar10_90.svg", help="the learning curve (default: cifar10_90.svg)")
    given = parser.parse_args()

    torch.set_num_threads(given.threads)
    start = time.perf_counter()
    task = nl.tasks.load(f"cifar10:{given.folder}?valid=1024" if given.folder else "cifar10?valid=1024")
    graph = network()
    print(f"{task}\n{graph.num_params:,} parameters, {graph.flops // 2:,} multiply–adds an image\n")
    recipe = nl.training.recipe(RECIPE, epochs=given.epochs)
    result = nl.train(graph, task, recipe, checkpoint=given.checkpoint, progress=True)
    result.draw(given.plot, score_name="accuracy", title="CIFAR-10")
    test = nl.training.evaluate(result.network, task.read_test(), precision="bfloat16", channels_last=True)
    minutes = (time.perf_counter() - start) / 60
    print(f"\ntest accuracy {test.score:.4f} on {test.samples:,} images, read once, after {minutes:.1f} minutes ({given.plot})")


if __name__ == "__main__":
    main()
