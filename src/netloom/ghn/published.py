"""Published results of hypernetworks, as the papers' released records give them: what `reproduce` compares with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """A row of a table: in per cent, by split; ``trained`` rows are of SGD, which no hypernetwork is asked for."""

    hypernetwork: str
    values: dict[str, str]
    trained: bool = False


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """A table of a paper, the data it is of, and its rows."""

    title: str
    data: str
    rows: tuple[Published, ...]


_SPLITS = ("val", "test", "wide", "deep", "dense", "bnfree", "predefined")


def _row(name: str, values: str, trained: bool = False) -> Published:
    return Published(name, dict(zip(_SPLITS, map(str.strip, values.split("|")))), trained)


#: Mean ± standard error over the networks of a split; "predefined" is ResNet-50 / ViT.
TABLES = (
    PublishedTable(
        "CIFAR-10, top-1 accuracy with predicted parameters, % (Knyazev et al., NeurIPS 2021)",
        "cifar10",
        (
            _row("mlp_cifar10", "43.8 ± 0.6 | 42.2 ± 0.6 | 22.3 ± 0.9 | 37.9 ± 1.2 | 44.8 ± 1.1 | 23.9 ± 0.7 | 17.7 / 10.0"),
            _row("ghn1_cifar10", "51.5 ± 0.5 | 51.4 ± 0.4 | 43.1 ± 1.7 | 48.3 ± 0.8 | 51.8 ± 0.9 | 13.7 ± 0.3 | 19.2 / 18.2"),
            _row("ghn2_cifar10", "67.5 ± 0.4 | 66.9 ± 0.3 | 64.0 ± 1.1 | 60.5 ± 1.2 | 65.8 ± 0.7 | 36.8 ± 1.5 | 58.6 / 11.4"),
            _row("SGD, 50 epochs", "88.6 | 88.5 | 88.9 | 84.5 | 87.3 | 45.6 | 93.5 / 75.7", trained=True),
        ),
    ),
    PublishedTable(
        "ImageNet, top-5 accuracy with predicted parameters, % (Knyazev et al., NeurIPS 2021)",
        "imagenet",
        (
            _row("ghn1_imagenet", "17.6 ± 0.4 | 17.2 ± 0.4 | 15.8 ± 0.9 | 15.9 ± 0.8 | 15.1 ± 0.7 | 0.5 | 6.9 / 0.9"),
            _row("ghn2_imagenet", "28.5 ± 0.7 | 27.2 ± 0.6 | 19.4 ± 1.4 | 24.7 ± 1.4 | 26.4 ± 1.2 | 7.2 ± 0.6 | 5.3 / 4.4"),
            _row("SGD, 1 epoch", "36.4 | 37.7 | 38.7 | 22.1 | 36.3 | 8.0 | 57.7 / 33.4", trained=True),
        ),
    ),
)

#: Top-1 % on ImageNet of torchvision's models without training (Knyazev et al., ICML 2023): mean and best of 74, and three.
TORCHVISION = PublishedTable(
    "ImageNet, top-1 accuracy of 74 torchvision models with predicted parameters, % (Knyazev et al., ICML 2023)",
    "imagenet",
    (
        Published("ghn2", {"mean of 74": "0.19", "best": "1.46", "resnet50": "1.08"}),
        Published("ghn3tm8", {"mean of 74": "0.69", "best": "10.8", "resnet50": "10.44"}),
        Published("ghn3xlm16", {"mean of 74": "1.66", "best": "22.6", "resnet50": "20.00"}),
    ),
)

#: Norm of all predicted parameters of three torchvision models by the released GHN-2 for ImageNet and GHN-3: no data needed.
NORMS = {
    "ghn2": {"resnet18": 146.9574, "resnet50": 286.4883, "mobilenet_v2": 252.0930, "vit_b_16": 238.4232},
    "ghn3tm8": {"resnet18": 54.9382, "resnet50": 78.6197, "mobilenet_v2": 78.2470, "vit_b_16": 87.4414},
    "ghn3xlm16": {"resnet18": 73.9089, "resnet50": 108.4530, "mobilenet_v2": 110.2649, "vit_b_16": 366.0770},
}
