"""Attention, recurrent layers, resampling and Fourier transforms against torch."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import netloom as nl
from tests.ops.replay import evaluated, refused, replay

Q, K, V = torch.randn(2, 6, 5, 8), torch.randn(2, 6, 7, 8), torch.randn(2, 6, 7, 4)
IMAGE = torch.randn(2, 3, 6, 8)
SIGNAL = torch.randn(2, 64)
SPECTRUM = torch.randn(3, 4, 5, dtype=torch.complex64)

SAME_AS_TORCH = [
    ("scaled_dot_product_attention", "F.scaled_dot_product_attention", Q, K, V),
    ("scaled_dot_product_attention", "F.scaled_dot_product_attention", Q, K, V, torch.rand(5, 7) > 0.3),
    ("scaled_dot_product_attention", "F.scaled_dot_product_attention", Q, K, V, torch.randn(2, 1, 5, 7), {"scale": 0.5}),
    ("scaled_dot_product_attention", "F.scaled_dot_product_attention", Q, K, V, None, 0.3),
    ("scaled_dot_product_attention", "F.scaled_dot_product_attention", Q, K, V, {"is_causal": True}),
    ("scaled_dot_product_attention", "F.scaled_dot_product_attention", Q, K[:, :2], V[:, :2], {"enable_gqa": True}),
    ("scaled_dot_product_attention", "F.scaled_dot_product_attention", Q[0, 0], K[0, 0], V[0, 0]),
    ("interpolate", "F.interpolate", IMAGE, {"scale_factor": 2}),
    ("interpolate", "F.interpolate", IMAGE, (4, 9), {"mode": "bilinear"}),
    ("interpolate", "F.interpolate", IMAGE, 5, {"mode": "bicubic", "align_corners": True}),
    ("interpolate", "F.interpolate", IMAGE, {"scale_factor": (0.5, 1.7), "mode": "bilinear", "antialias": True}),
    ("interpolate", "F.interpolate", IMAGE, {"scale_factor": 1.7, "mode": "bilinear", "recompute_scale_factor": True}),
    ("interpolate", "F.interpolate", IMAGE, {"size": (3, 4), "mode": "area"}),
    ("interpolate", "F.interpolate", IMAGE[0], {"scale_factor": 1.5, "mode": "linear"}),
    ("interpolate", "F.interpolate", IMAGE, {"size": (7, 7), "mode": "nearest-exact"}),
    ("grid_sample", "F.grid_sample", IMAGE, torch.rand(2, 4, 5, 2) * 2 - 1, {"align_corners": False}),
    ("grid_sample", "F.grid_sample", IMAGE, torch.rand(2, 4, 5, 2), "nearest", "border", True),
    ("affine_grid", "F.affine_grid", torch.randn(2, 2, 3), [2, 3, 5, 4], {"align_corners": True}),
    ("fft", "torch.fft.fft", IMAGE),
    ("ifft", "torch.fft.ifft", SPECTRUM, 6, 1, "ortho"),
    ("rfft", "torch.fft.rfft", IMAGE, {"dim": 2}),
    ("irfft", "torch.fft.irfft", SPECTRUM),
    ("irfft", "torch.fft.irfft", SPECTRUM, 9),
    ("fftn", "torch.fft.fft2", IMAGE),
    ("fftn", "torch.fft.fftn", IMAGE, (4, 4)),
    ("ifftn", "torch.fft.ifftn", SPECTRUM, {"dim": (0, 1)}),
    ("rfftn", "torch.fft.rfft2", IMAGE, {"norm": "ortho"}),
    ("irfftn", "torch.fft.irfft2", SPECTRUM, {"s": (4, 8), "dim": (-2, -1)}),
    ("fftshift", "torch.fft.fftshift", IMAGE, (2, 3)),
    ("ifftshift", "torch.fft.ifftshift", IMAGE),
    ("stft", "torch.stft", SIGNAL, 16, {"window": torch.hann_window(16), "return_complex": True}),
    ("stft", "Tensor.stft", SIGNAL[0], 16, 5, 12, torch.ones(12), {"center": False, "onesided": False, "return_complex": True}),
]


def split(case):
    op, path, *rest = case
    kwargs = rest.pop() if rest and isinstance(rest[-1], dict) else {}
    return op, path, rest, kwargs


@pytest.mark.parametrize("case", SAME_AS_TORCH, ids=lambda case: case[1])
def test_same_as_torch(case):
    op, path, args, kwargs = split(case)
    replay(op, path, *args, strides=op not in ("stft",), **kwargs)


REFUSED = [
    ("scaled_dot_product_attention", "F.scaled_dot_product_attention", Q, V, K),
    ("scaled_dot_product_attention", "F.scaled_dot_product_attention", Q, K.double(), V),
    ("scaled_dot_product_attention", "F.scaled_dot_product_attention", Q, K, V, torch.zeros(5, 6)),
    ("scaled_dot_product_attention", "F.scaled_dot_product_attention", Q, K, V, torch.zeros(5, 7), 0.0, True),
    ("interpolate", "F.interpolate", IMAGE, {"size": 4, "scale_factor": 2}),
    ("interpolate", "F.interpolate", IMAGE, {"size": 4, "mode": "linear"}),
    ("interpolate", "F.interpolate", IMAGE, {"size": 4, "align_corners": True}),
    ("interpolate", "F.interpolate", IMAGE, {"size": 4, "antialias": True}),
    ("interpolate", "F.interpolate", IMAGE, {"scale_factor": 0.01}),
    ("grid_sample", "F.grid_sample", IMAGE, torch.rand(2, 4, 5, 3), {"align_corners": False}),
    ("rfft", "torch.fft.rfft", SPECTRUM),
    ("fftn", "torch.fft.fftn", IMAGE, (1, 2, 3, 4, 5)),
    ("stft", "torch.stft", SIGNAL[:, :8], 16, {"return_complex": True, "window": torch.ones(16)}),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case[1])
def test_refused_as_torch_refuses(case):
    op, path, args, kwargs = split(case)
    assert refused(op, path, *args, **kwargs)


@pytest.mark.parametrize("heads", [6, 2])
def test_attention_flops_are_those_that_torch_counts(heads):
    kind, made, _ = evaluated("scaled_dot_product_attention", "F.scaled_dot_product_attention", (Q, K[:, :heads], V[:, :heads]),
                              {"enable_gqa": heads != 6})  # fmt: skip
    meta = [t.to("meta") for t in (Q, K[:, :heads], V[:, :heads])]
    with FlopCounterMode(display=False) as counter:
        torch.nn.functional.scaled_dot_product_attention(*meta, enable_gqa=heads != 6)
    assert kind.flops(made.types, made.outputs) == counter.get_total_flops()


# -- recurrent -----------------------------------------------------------------------------------------------------------
LAYERS = [
    (nn.LSTM, "lstm", {}),
    (nn.LSTM, "lstm", {"num_layers": 2, "bidirectional": True, "batch_first": True}),
    (nn.LSTM, "lstm", {"proj_size": 3, "num_layers": 2}),
    (nn.LSTM, "lstm", {"bias": False, "num_layers": 3, "dropout": 0.5}),
    (nn.GRU, "gru", {"bidirectional": True}),
    (nn.GRU, "gru", {"batch_first": True, "num_layers": 2, "dropout": 0.25}),
    (nn.RNN, "rnn_tanh", {}),
    (nn.RNN, "rnn_relu", {"nonlinearity": "relu", "num_layers": 2}),
]


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("module, op, options", LAYERS, ids=lambda v: str(v)[-40:])
def test_recurrent_layers(module, op, options):
    layer = module(4, 8, **options)
    ways = 2 if options.get("bidirectional") else 1
    x = torch.randn(5, 3, 4)
    batch = 5 if options.get("batch_first") else 3
    count = options.get("num_layers", 1) * ways
    h = torch.zeros(count, batch, options.get("proj_size") or 8)
    hx = (h, torch.zeros(count, batch, 8)) if op == "lstm" else h
    call = (x, hx, list(layer._flat_weights), layer.bias, layer.num_layers, layer.dropout, True, layer.bidirectional)
    replay(op, f"torch.{op}", *call, layer.batch_first)


@pytest.mark.parametrize("module, op", [(nn.LSTMCell, "lstm_cell"), (nn.GRUCell, "gru_cell"), (nn.RNNCell, "rnn_tanh_cell")])
@pytest.mark.parametrize("bias", [True, False])
def test_cells(module, op, bias):
    cell = module(4, 8, bias=bias)
    h = torch.randn(3, 8)
    hx = (h, torch.randn(3, 8)) if op == "lstm_cell" else h
    replay(op, f"torch.{op}", torch.randn(3, 4), hx, cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)


def test_builder_makes_the_weights_that_torch_names():
    x = nl.input(7, 4)
    y, h, c = nl.lstm(x, 8, num_layers=2, bidirectional=True, name="encoder.lstm")
    graph = nl.Graph(x, nl.linear(y[:, -1], 3))
    module = nn.LSTM(4, 8, num_layers=2, bidirectional=True)
    ours = {k.removeprefix("encoder.lstm."): e.type.shape for k, e in graph.tensors.items() if k.startswith("encoder")}
    assert ours == {name: tuple(p.shape) for name, p in module.named_parameters()}
    assert graph["encoder.lstm"].num_params == sum(p.numel() for p in module.parameters())
    assert graph["encoder.lstm"].out_size == 16
    assert h.shape == c.shape == (4, nl.input(1).shape[0], 8)


def test_flops_by_hand():
    # One LSTM step multiplies 4·hidden rows with input and state: 2 · 4 · 8 · (4 + 8) per sample; 7 steps.
    x = nl.input(7, 4)
    y, _, _ = nl.lstm(x, 8)
    assert nl.Graph(x, y).flops == 7 * 2 * 4 * 8 * (4 + 8)
    # A GRU of two layers in both directions: three gates; the second layer reads 16 features.
    y, _ = nl.gru(x, 8, num_layers=2, bidirectional=True)
    assert nl.Graph(x, y).flops == 7 * 2 * (2 * 3 * 8 * (4 + 8) + 2 * 3 * 8 * (16 + 8))
    h = nl.gru_cell(nl.input(4), 8)
    assert h.draft.op == "gru_cell" and h.shape[1] == 8


def test_wrong_number_of_weights_is_refused():
    layer = nn.LSTM(4, 8)
    h = torch.zeros(1, 3, 8)
    call = (torch.randn(5, 3, 4), (h, h), list(layer._flat_weights)[:3], True, 1, 0.0, True, False, False)
    assert "expected 4: weight_ih_l0" in refused("lstm", "torch.lstm", *call)
    sequence = nn.utils.rnn.pack_padded_sequence(torch.randn(5, 3, 4), [5, 4, 2])
    packed = (sequence.data, sequence.batch_sizes, (h, h), list(layer._flat_weights), True, 1, 0.0, True, False)
    assert evaluated("lstm", "torch.lstm", packed, {}) is None
