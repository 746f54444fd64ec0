"""Networks of the builder with names as modules give them, for the tests of pictures."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

import netloom as nl


def residual(x: Any, name: str, channels: int, stride: int = 1) -> Any:
    """A basic block; its first instance in a stage has a convolution in its shortcut."""
    y = nl.conv2d(x, channels, kernel=3, stride=stride, padding=1, bias=False, name=f"{name}.conv1")
    y = nl.relu(nl.batch_norm(y, name=f"{name}.bn1"), name=f"{name}.relu")
    y = nl.conv2d(y, channels, kernel=3, padding=1, bias=False, name=f"{name}.conv2")
    y = nl.batch_norm(y, name=f"{name}.bn2")
    if stride > 1:
        x = nl.conv2d(x, channels, kernel=1, stride=stride, bias=False, name=f"{name}.downsample.0")
        x = nl.batch_norm(x, name=f"{name}.downsample.1")
    return nl.relu(nl.add(y, x, name=f"{name}.add"), name=f"{name}.relu_1")


def resnet(stages: tuple[int, ...] = (2, 3)) -> nl.Graph:
    """A small residual network."""
    x = nl.input(3, 32, 32, name="images")
    y = nl.relu(nl.batch_norm(nl.conv2d(x, 16, kernel=3, padding=1, bias=False, name="conv"), name="bn"), name="relu")
    for stage, count in enumerate(stages, 1):
        for i in range(count):
            y = residual(y, f"layer{stage}.{i}", 8 << stage, 2 if stage > 1 and i == 0 else 1)
    return nl.Graph(x, nl.linear(nl.flatten(nl.adaptive_avg_pool2d(y, 1)), 10, name="fc"))


def transformer(layers: int = 4) -> nl.Graph:
    """Attention with a mask that every layer reads."""
    x, mask = nl.input(6, 8, name="tokens"), nl.input(1, 6, 6, name="mask")
    y = x
    n = nl.Size.symbol("N")
    for i in range(layers):
        at = f"layers.{i}"
        heads = []
        for role in ("query", "key", "value"):
            t = nl.linear(y, 8, name=f"{at}.attention.{role}")
            t = nl.reshape(t, (n, 6, 2, 4), name=f"{at}.attention.split_{role}")
            heads.append(nl.transpose(t, 1, 2, name=f"{at}.attention.turn_{role}"))
        mixed = nl.scaled_dot_product_attention(*heads, mask=mask, name=f"{at}.attention.mix")
        mixed = nl.reshape(nl.transpose(mixed, 1, 2, name=f"{at}.attention.back"), (n, 6, 8), name=f"{at}.attention.join")
        mixed = nl.linear(mixed, 8, name=f"{at}.attention.proj")
        y = nl.layer_norm(nl.add(y, mixed, name=f"{at}.add"), 8, name=f"{at}.norm")
    return nl.Graph((x, mask), y)


def dense(count: int = 5) -> nl.Graph:
    """A block in which every layer reads all before it."""
    x = nl.input(4, 8, 8)
    made = [nl.conv2d(x, 4, kernel=1, name="stem")]
    for i in range(count):
        y = nl.cat(made, dim=1, name=f"block.layer{i}.cat") if len(made) > 1 else made[0]
        y = nl.relu(nl.batch_norm(y, name=f"block.layer{i}.bn"), name=f"block.layer{i}.relu")
        y = nl.conv2d(y, 8, kernel=1, name=f"block.layer{i}.conv1")
        made.append(nl.conv2d(y, 4, kernel=3, padding=1, name=f"block.layer{i}.conv2"))
    return nl.Graph(x, nl.cat(made, dim=1))


def recurrent() -> nl.Graph:
    """Several results of one node, several outputs of the network."""
    x = nl.input(5, 4)
    y, hidden, cell = nl.lstm(x, 6)
    return nl.Graph(x, {"last": nl.linear(y, 2), "state": (hidden, cell)})


def random_graph(count: int) -> nl.Graph:
    """Sums and activations of values not far above."""
    rng = np.random.default_rng(0)
    x = nl.input(4)
    made = [nl.relu(x)]
    while len(made) < count:
        a, b = (made[max(0, len(made) - int(rng.geometric(0.2)))] for _ in range(2))
        made.append(nl.relu(a) if rng.random() < 0.4 else a + b)
    return nl.Graph(x, reduce(lambda a, b: a + b, made[-9:]))


ALL = {"resnet": resnet, "transformer": transformer, "dense": dense, "recurrent": recurrent}
