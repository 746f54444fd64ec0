"""Ready-made recipes: netloom's own, and those behind published results."""

from __future__ import annotations

from dataclasses import replace

from .recipes import Recipe

#: SGD as for DARTS cells (Liu et al. 2019) and the networks of DeepNets-1M (Knyazev et al. 2021): padded crops and flips.
_CELLS = Recipe(
    epochs=50, batch_size=96, optimizer="sgd", learning_rate=0.025, momentum=0.9, weight_decay=3e-4, schedule="cosine",
    warmup=0.0, clip_norm=5.0, crop=4, flip=True,
)  # fmt: skip

READY_MADE: dict[str, Recipe] = {
    # Enough to tell architectures apart in seconds on a CPU.
    "express": Recipe(),
    # To train what a search has found.
    "thorough": Recipe(epochs=30, label_smoothing=0.1),
    # The published accuracies of random convolutional networks on CIFAR-10 (inputs normalised to mean and deviation 0.5,
    # 10,000 training images held out).
    "sophius-50": Recipe(
        epochs=50, batch_size=256, optimizer="adamw", learning_rate=1e-3, weight_decay=0.01, schedule="exponential",
        gamma=0.95, warmup=0.0, clip_norm=None,
    ),
    # The published accuracies of the networks of DeepNets-1M on CIFAR-10 (5,000 training images held out).
    "ppuda-50": _CELLS,
    # A DARTS network trained to the end: cutout, drop path that grows with the epochs, an auxiliary head where there is one.
    "darts-600": replace(
        _CELLS, epochs=600, cutout=16, drop_path=0.2, drop_path_growth="linear", auxiliary_weight=0.4
    ),
}  # fmt: skip
