"""The arguments of ``netloom train``. Imports argparse alone."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

_DESCRIPTION = """\
Train a network on a task: a line for every epoch, then seconds, training and validation score.

NETWORK is a graph file (.json, .txt, .nl), a name (resnet50, vit, darts, convnext_base, deepnets1m:SPLIT/INDEX) or a hash in a
store (nl1:… with --store, or URL#nl1:…), which get fresh weights from --seed; or MODULE:FUNCTION, a network saved as
.safetensors, or zoo:FOLDER#NUMBER, which go on with their own. A task is what 'netloom data' lists, with settings after '?'.

With --init the weights to start from are others: those that a hypernetwork predicts (ghn:FILE), or those of a file. Large
predicted weights are tiled: --beta adds noise that tells copies apart, --orth makes the weights orthogonal.

recipes (every field has a flag below that replaces it):
  express      AdamW, cosine, 10 epochs: enough to tell architectures apart
  thorough     the same at length, with label smoothing
  sophius-50   AdamW, exponential, 50 epochs of 256: published accuracies of random convolutional networks
  ppuda-50     SGD, cosine, crops and flips, 50 epochs of 96: published accuracies of DeepNets-1M
  darts-600    that for 600 epochs with cutout, drop path and auxiliary head
  FILE.json    an object with any of the fields

With --checkpoint the training can be killed at any instant: the same command goes on and ends with the same weights. With more
--epochs it goes on from the last one; where the schedule shall not depend on that, give --horizon-epochs.

Exit code 1: the loss was no longer finite, memory ran out, or the network failed.
"""
_EXAMPLES = """\
  netloom train small.json --task digits
  netloom train small.json --task digits --epochs 30 --patience 5 --best --test -o trained.safetensors --plot curve.svg
  netloom train small.json --task 'cifar10:/data/cifar10?valid=5000' --recipe ppuda-50 --epochs 8 --horizon-epochs 50 \\
                --checkpoint runs/small --precision auto --channels-last
  netloom train my_models:net --task 'table:houses.csv?target=price' --optimizer sgd --nesterov --learning-rate 0.05
  netloom train deepnets1m:test/12 --task digits --init ghn:digits --beta 3e-5       start from predicted weights
  netloom train darts --task cifar10 --shots 100 --validate 200 --epochs 50 --init ghn:ghn2_cifar10 --recipe ppuda-50
  netloom train trained.safetensors --task digits --learning-rate 0.0003 --epochs 3     more of the same, from its weights
"""

#: Field of a recipe → its metavar ("" for a switch) and help. Epochs have a flag of their own.
RECIPE_FLAGS: dict[str, tuple[str, str]] = {
    "batch_size": ("N", "samples a step"),
    "optimizer": ("NAME", "adamw, sgd or muon"),
    "learning_rate": ("RATE", "the highest of the schedule"),
    "weight_decay": ("SHARE", "decoupled for adamw and muon"),
    "momentum": ("SHARE", "of sgd and muon"),
    "nesterov": ("", "Nesterov's momentum"),
    "betas": ("A,B", "of adamw"),
    "decay_biases": ("", "weight decay for biases and gains of norms too"),
    "schedule": ("NAME", "cosine, linear, one-cycle, exponential, multi-step or constant"),
    "warmup": ("SHARE", "of all steps in which the rate rises"),
    "warmup_epochs": ("N", "the same in epochs"),
    "final_rate": ("SHARE", "of the highest rate, at the end"),
    "gamma": ("FACTOR", "of exponential (each epoch) and multi-step"),
    "milestones": ("E,E,…", "epochs at which multi-step lowers the rate"),
    "horizon_epochs": ("N", "epochs after which the schedule ends, however many are trained now"),
    "label_smoothing": ("SHARE", "of the targets that goes to all classes"),
    "clip_norm": ("NORM", "largest norm of the gradient, or none"),
    "crop": ("PIXELS", "random crops after padding by PIXELS"),
    "flip": ("", "mirror images at random"),
    "cutout": ("PIXELS", "side of a square that is blanked"),
    "drop_path": ("P", "probability with which a sample skips a residual branch"),
    "drop_path_growth": ("NAME", "constant, or linear from 0 with the epochs"),
    "auxiliary_weight": ("W", "of the losses of auxiliary heads"),
    "precision": ("NAME", "float32, bfloat16, float16 or auto"),
    "channels_last": ("", "channels next to each other in memory (default: where that is faster)"),
    "ema_decay": ("D", "average the weights over the steps"),
    "patience": ("N", "stop after N epochs without a better validation score"),
    "max_steps": ("N", "stop after N steps"),
    "max_multiply_adds": ("N", "stop after N multiply–adds, backward passes included"),
    "max_seconds": ("S", "stop after S seconds"),
}
#: Other names of a flag.
_SHORT = {"learning_rate": ("--lr",)}


def add_train(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser; ``command`` makes one."""
    usage = "train NETWORK --task TASK [--recipe RECIPE] [--epochs N] [--test] [-o FILE] [--checkpoint DIR] …"
    made = command(commands, "train", "train_command", usage, _DESCRIPTION, _EXAMPLES)
    made.add_argument("network", metavar="NETWORK", help="a graph file, a name, a hash, MODULE:FUNCTION, a saved network …")
    made.add_argument("--task", default="digits", help="the data, settings after '?' (default: digits)")
    made.add_argument("--data-dir", metavar="DIR", help="where fetched data are (default: the user's cache)")
    made.add_argument("--recipe", default="express", help="one of the above, or a .json file (default: express)")
    made.add_argument("--epochs", metavar="N", help="passes over the training part (default: the recipe's)")
    made.add_argument("--seed", type=int, default=0, help="draws weights, order, augmentation and dropout (default: 0)")
    made.add_argument("--init", default="random", metavar="WHAT", help="start from random, ghn:FILE, or a file of weights")
    made.add_argument("--orth", action="store_true", help="make the weights to start from orthogonal")
    made.add_argument("--beta", metavar="B", help="add noise to them, B times the deviation of their rows' correlations")
    made.add_argument("--from-layer", metavar="L", help="the first layer with weights, from 1, that --orth and --beta change")
    made.add_argument("--image-size", metavar="S", help="scale images to S, or HxW (the task's setting size)")
    made.add_argument("--shots", metavar="K", help="train on the first K samples of each class (the task's setting shots)")
    made.add_argument("--validate", metavar="N", help="samples, or a share, held out of training (the task's setting valid)")
    made.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 … (default: cpu)")
    made.add_argument("--threads", type=int, metavar="N", help="processor threads (default: all)")
    made.add_argument("--checkpoint", metavar="DIR", help="keep the state in DIR, and go on from what is there")
    made.add_argument("--every-steps", type=int, metavar="N", help="write it every N steps (default: after epochs)")
    made.add_argument("--anew", action="store_true", help="begin anew whatever DIR holds")
    made.add_argument("--test", action="store_true", help="read the test part once, at the end")
    made.add_argument("--best", action="store_true", help="end with the weights of the best epoch, not the last")
    made.add_argument("-o", "--out", metavar="FILE", help="write the trained network (.safetensors)")
    made.add_argument("--plot", metavar="FILE", help="a picture of the learning curve (.svg, .png)")
    made.add_argument("--store", metavar="URL", help="file the result in a store (graph files)")
    made.add_argument("--json", action="store_true", help="print one JSON object at the end; lines go to the error stream")
    made.add_argument("--quiet", action="store_true", help="no line for every epoch")
    fields = made.add_argument_group("fields of the recipe")
    for name, (metavar, told) in RECIPE_FLAGS.items():
        flag = f"--{name.replace('_', '-')}"
        if metavar:
            fields.add_argument(flag, *_SHORT.get(name, ()), metavar=metavar, help=told)
        else:
            fields.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=told)
