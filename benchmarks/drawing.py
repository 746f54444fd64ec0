"""Pictures of known networks: how long they take, and the ones in the documentation.

``python -m benchmarks.drawing`` prints processor seconds; with ``--pictures`` it writes ``docs/images``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import torchvision_shim  # noqa: F401  (before torchvision)

import torch  # isort: skip
import torchvision
from torch import nn

import netloom as nl

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"


class ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(x + self.bn2(self.conv2(y)))


class SmallResNet(nn.Module):
    """A residual network for images of 32 × 32."""

    def __init__(self, channels: int = 64, count: int = 8) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(count)))
        self.head = nn.Linear(channels, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.blocks(torch.relu(self.norm(self.stem(images))))
        return self.head(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


def small_resnet() -> nl.Graph:
    return nl.trace(SmallResNet().eval(), torch.zeros(2, 3, 32, 32))


def torchvision_graph(name: str) -> nl.Graph:
    return nl.trace(torchvision.models.get_model(name, weights=None).eval(), torch.zeros(2, 3, 224, 224))


def bert() -> nl.Graph:
    import transformers

    config = transformers.BertConfig()
    with torch.device("meta"):
        model = transformers.BertModel(config)
    tokens = torch.ones(2, 128, dtype=torch.long)
    return nl.trace(model.to_empty(device="cpu").eval(), {"input_ids": tokens, "attention_mask": tokens})


def darts(cells: int = 6, channels: int = 16) -> nl.Graph:
    """Equal cells of separable convolutions and pools, each on the two before it, with the builder."""

    def separable(x: nl.Value) -> nl.Value:
        for _ in range(2):
            x = nl.conv2d(nl.relu(x), channels, kernel=3, padding=1, groups=channels, bias=False)
            x = nl.batch_norm(nl.conv2d(x, channels, kernel=1, bias=False))
        return x

    def squeezed(x: nl.Value) -> nl.Value:
        return nl.batch_norm(nl.conv2d(nl.relu(x), channels, kernel=1, bias=False))

    images = nl.input(3, 32, 32)
    before = last = nl.batch_norm(nl.conv2d(images, 3 * channels, kernel=3, padding=1, bias=False))
    for _ in range(cells):
        a, b = squeezed(before), squeezed(last)
        c = separable(b) + nl.max_pool2d(a, 3, stride=1, padding=1)
        d = separable(c) + nl.avg_pool2d(b, 3, stride=1, padding=1)
        before, last = last, nl.cat([c, d, nl.max_pool2d(c, 3, stride=1, padding=1) + a], dim=1)
    return nl.Graph(images, nl.linear(nl.flatten(nl.adaptive_avg_pool2d(last, 1)), 10))


NETWORKS: dict[str, Callable[[], nl.Graph]] = {
    "small_resnet": small_resnet,
    "resnet50": lambda: torchvision_graph("resnet50"),
    "densenet121": lambda: torchvision_graph("densenet121"),
    "swin_t": lambda: torchvision_graph("swin_t"),
    "bert": bert,
    "darts": darts,
}


def pictures() -> None:
    """Write the pictures of the documentation."""
    IMAGES.mkdir(exist_ok=True)
    for name, make in NETWORKS.items():
        graph = make()
        if name == "small_resnet":
            graph.draw(IMAGES / "small_resnet.svg", direction="right")
            continue
        graph.draw(IMAGES / f"{name}.svg")
        if name == "resnet50":
            graph.draw(IMAGES / "resnet50_right.svg", direction="right", depth=0)


def seconds(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--pictures", action="store_true")
    if given.parse_args().pictures:
        return pictures()
    print(f"{'network':<14}{'nodes':>6}{'svg':>8}{'flat':>8}{'html':>8}{'png':>8}   (CPU seconds, best of 3)")
    for name, make in NETWORKS.items():
        document = make().to_json()
        with tempfile.TemporaryDirectory() as folder:
            kinds = {"svg": {}, "flat": {"collapse": False}, "html": {}, "png": {}}
            row = []
            for kind, options in kinds.items():
                path = Path(folder) / ("x." + kind.replace("flat", "svg"))
                graphs = [nl.Graph.from_json(document) for _ in range(3)]
                row.append(min(seconds(lambda g=graph, p=path, o=options: g.draw(p, **o)) for graph in graphs))
        print(f"{name:<14}{len(graphs[0]):>6}" + "".join(f"{value:>8.3f}" for value in row))
    return None


if __name__ == "__main__":
    main()
