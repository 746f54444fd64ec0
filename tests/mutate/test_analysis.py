"""Each way in which sizes hang together, on a small graph: the atoms expected, and the mask oracle on removals."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import netloom as nl
from netloom.mutate import Dimensions, analyse
from netloom.ops import Concat, Product
from tests.mutate.mask_oracle import check_removal, halves


def free(dims: Dimensions) -> dict[str, int]:
    return {atom.id: atom.size for atom in dims.free}


def judged(graph: nl.Graph, *shape: int, compared: bool = True) -> Dimensions:
    """The analysis of a graph, after half of every free atom was removed from it and the outputs compared."""
    dims = analyse(graph)
    dims.check()
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for atom in (*dims.free, None):
        kept = halves(dims) if atom is None else {atom.id: [i for i in range(atom.size) if i % 3 != 1] or [0]}
        assert check_removal(graph, kept, [x], dims) is compared
    return dims


def test_a_residual_sum_ties_all_its_branches() -> None:
    x = nl.input(3, 6, 6)
    a = nl.conv2d(x, 8, kernel=3, padding=1, name="a")
    b = nl.conv2d(nl.relu(a), 5, kernel=3, padding=1, name="b")
    c = nl.batch_norm(nl.conv2d(nl.relu(b), 8, kernel=1, name="c"), running_mean=True, running_var=True)
    dims = judged(nl.Graph(x, nl.conv2d(a + c, 2, kernel=1)), 3, 6, 6)
    assert free(dims) == {"a": 8, "b": 5}
    assert dims.of("c.weight")[:2] == ("a", "b")


def test_sums_of_concatenations_are_cut_into_segments() -> None:
    x = nl.input(3, 4, 4)
    a, b, c, d = (nl.conv2d(x, size, kernel=1, name=name) for name, size in zip("abcd", (3, 5, 6, 2)))
    dims = judged(nl.Graph(x, nl.conv2d(nl.cat([a, b], 1) + nl.cat([c, d], 1), 2, kernel=1, name="e")), 3, 4, 4)
    assert free(dims) == {"a": 3, "b": 3, "b:2": 2}
    assert dims.of("c.weight")[0] == Concat(("a", "b")) and dims.of("b.weight")[0] == Concat(("b", "b:2"))
    assert dims.of("e.weight")[1] == Concat(("a", "b", "b:2"))


def test_flatten_multiplies_channels_by_positions() -> None:
    x = nl.input(3, 4, 4)
    a = nl.relu(nl.conv2d(x, 6, kernel=3, name="a"))
    first = judged(nl.Graph(x, nl.linear(nl.flatten(a), 2, name="b")), 3, 4, 4)
    assert isinstance(first.of("b.weight")[1], Product) and first.of("b.weight")[1].parts[0] == "a"
    last = judged(nl.Graph(x, nl.linear(nl.flatten(nl.permute(a, (0, 2, 3, 1))), 2, name="b")), 3, 4, 4)
    assert last.of("b.weight")[1].parts[-1] == "a"


@pytest.mark.parametrize("groups", [2, 3])
def test_grouped_convolution_keeps_groups_alike(groups: int) -> None:
    x = nl.input(3, 4, 4)
    a = nl.relu(nl.conv2d(x, 12, kernel=1, name="a"))
    b = nl.relu(nl.conv2d(a, 18, kernel=3, padding=1, groups=groups, name="b"))
    dims = judged(nl.Graph(x, nl.conv2d(b, 2, kernel=1)), 3, 4, 4)
    assert free(dims) == {"a": groups, "a:2": 12 // groups, "b": 18 // groups}
    assert dims.attrs("b")["groups"] == "a"


def test_depthwise_convolution_is_one_atom_also_with_a_multiplier() -> None:
    x = nl.input(3, 4, 4)
    a = nl.conv2d(x, 6, kernel=1, name="a")
    dims = judged(nl.Graph(x, nl.conv2d(nl.conv2d(a, 6, kernel=3, groups=6, name="b"), 2, kernel=1)), 3, 4, 4)
    assert free(dims) == {"a": 6} and dims.attrs("b") == {"out": "a", "groups": "a"}
    dims = judged(nl.Graph(x, nl.conv2d(nl.conv2d(a, 12, kernel=3, groups=6, name="b"), 2, kernel=1)), 3, 4, 4)
    assert free(dims) == {"a": 6, "b": 2} and dims.of("b.weight")[0] == Product(("a", "b"))


def test_depthwise_over_a_concatenation_keeps_both_apart() -> None:
    x = nl.input(3, 4, 4)
    both = nl.cat([nl.conv2d(x, 4, kernel=1, name="a"), nl.conv2d(x, 6, kernel=1, name="b")], 1)
    dims = judged(nl.Graph(x, nl.conv2d(nl.conv2d(both, 10, kernel=3, groups=10, name="c"), 2, kernel=1)), 3, 4, 4)
    assert free(dims) == {"a": 4, "b": 6}


def test_group_norm_loses_whole_groups_or_the_same_of_each() -> None:
    x = nl.input(3, 4, 4)
    y = nl.group_norm(nl.conv2d(x, 12, kernel=1, name="a"), 3)
    dims = judged(nl.Graph(x, nl.conv2d(y, 2, kernel=1)), 3, 4, 4, compared=False)
    assert free(dims) == {"a": 3, "a:2": 4}


def test_the_halves_of_a_gate_are_tied() -> None:
    x = nl.input(5)
    dims = judged(nl.Graph(x, nl.linear(nl.glu(nl.linear(x, 12, name="a"), 1), 2)), 5)
    assert free(dims) == {"a": 6} and dims.of("a.weight")[0] == Concat(("a", "a"))
    y = nl.linear(x, 12, name="a")
    first, second = y[:, :6], y[:, 6:]
    assert free(judged(nl.Graph(x, nl.linear(first * nl.silu(second), 2)), 5)) == {"a": 6}


def test_squeeze_and_excite_ties_the_scale_to_the_channels() -> None:
    x = nl.input(3, 4, 4)
    a = nl.conv2d(x, 8, kernel=1, name="a")
    squeezed = nl.relu(nl.conv2d(nl.adaptive_avg_pool2d(a, 1), 4, kernel=1, name="squeeze"))
    y = a * nl.sigmoid(nl.conv2d(squeezed, 8, kernel=1, name="excite"))
    dims = judged(nl.Graph(x, nl.conv2d(y, 2, kernel=1)), 3, 4, 4)
    assert free(dims) == {"a": 8, "squeeze": 4} and dims.of("excite.weight")[0] == "a"


class Attention(torch.nn.Module):
    """Attention with its three projections as one, cut by ``how``; ``shared`` query heads for each key head."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.qkv, self.out = torch.nn.Linear(12, 36), torch.nn.Linear(12, 12)
        self.head = torch.nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, _ = x.shape
        y = self.qkv(x)
        if self.how == "reshape":
            q, k, v = y.reshape(n, t, 3, 3, 4).permute(2, 0, 3, 1, 4).unbind(0)
        elif self.how == "chunk":
            q, k, v = (part.view(n, t, 3, 4).transpose(1, 2) for part in y.chunk(3, dim=-1))
        else:
            q, k, v = y.view(n, t, 3, 12).transpose(1, 2).split(4, dim=-1)
        scores = (q @ k.transpose(-2, -1) * 0.5).relu()
        return self.head(self.out((scores @ v).transpose(1, 2).reshape(n, t, 12))).sum(1)


@pytest.mark.parametrize("how", ["reshape", "chunk", "interleaved"])
def test_fused_attention_has_heads_and_two_widths(how: str) -> None:
    torch.manual_seed(0)
    dims = judged(nl.trace(Attention(how).eval(), torch.randn(2, 5, 12)), 5, 12)
    sizes = free(dims)
    assert sorted(size for name, size in sizes.items() if name.startswith("qkv")) == ([3, 4] if how == "reshape" else [3, 4, 4])
    assert sizes["out"] == 12


class GroupedQuery(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = torch.nn.Linear(8, 24), torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
        self.out = torch.nn.Linear(24, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, _ = x.shape
        q = self.q(x).view(n, t, 6, 4).transpose(1, 2)
        k, v = (p(x).view(n, t, 2, 4).transpose(1, 2) for p in (self.k, self.v))
        k, v = (p[:, :, None].expand(n, 2, 3, t, 4).reshape(n, 6, t, 4) for p in (k, v))
        return self.out(((q @ k.mT).relu() @ v).transpose(1, 2).reshape(n, t, 24)).sum(1)


def test_grouped_queries_are_shared_heads_times_queries_of_each() -> None:
    dims = judged(nl.trace(GroupedQuery().eval(), torch.randn(2, 5, 8)), 5, 8)
    assert free(dims) == {"q": 2, "q:2": 3, "q:3": 4, "v": 4}
    assert dims.of("q.weight")[0] == Product(("q", "q:2", "q:3")) and dims.of("k.weight")[0] == Product(("q", "q:3"))
    assert dims.of("out.weight")[1] == Product(("q", "q:2", "v"))


class Tied(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.out = torch.nn.Embedding(11, 6), torch.nn.Linear(6, 11, bias=False)
        self.out.weight = self.embed.weight
        self.position, self.scale = torch.nn.Parameter(torch.randn(1, 5, 6)), torch.nn.Parameter(torch.randn(6))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.out((self.embed(ids) + self.position) * self.scale)


def test_tied_embeddings_position_tables_and_layer_scales() -> None:
    graph = nl.trace(Tied().eval(), torch.randint(0, 11, (2, 5)))
    dims = analyse(graph)
    assert free(dims) == {"embed": 6}
    assert [dims.of(key)[-1] for key in ("embed.weight", "out.weight", "position", "scale")] == ["embed"] * 4
    assert "axis 0 of the weight of embedding 'embed'" in dims[dims.of("embed.weight")[0]].frozen
    assert check_removal(graph, {"embed": [0, 2, 5]}, [torch.randint(0, 11, (2, 5))], dims)


class Recurrent(torch.nn.Module):
    def __init__(self, kind: Any, **options: Any) -> None:
        super().__init__()
        self.rnn = kind(5, 6, batch_first=True, **options)
        self.out = torch.nn.Linear(12 if options.get("bidirectional") else 6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.rnn(x)[0][:, -1])


@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"num_layers": 2}])
def test_recurrent_gates_are_copies_of_the_hidden_units(kind: Any, options: dict[str, Any]) -> None:
    dims = judged(nl.trace(Recurrent(kind, **options).double().eval(), torch.randn(2, 4, 5).double()), 4, 5)
    assert free(dims) == {"rnn": 6}


class Shuffled(torch.nn.Module):
    """Units that shuffle and halve: channels of both branches get mixed index by index."""

    def __init__(self, width: int, units: int) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 2 * width, 1)
        self.units = torch.nn.ModuleList(torch.nn.Conv2d(width, width, 1) for _ in range(units))
        self.out = torch.nn.Conv2d(2 * width, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.stem(x)
        for unit in self.units:
            left, right = y.chunk(2, dim=1)
            y = torch.cat([left, unit(right)], 1)
            y = y.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)
        return self.out(y)


@pytest.mark.parametrize("width, units", [(4, 1), (8, 2), (3, 1), (5, 2), (6, 3)])
def test_channel_shuffle_then_halves(width: int, units: int) -> None:
    dims = judged(nl.trace(Shuffled(width, units).eval(), torch.randn(2, 3, 2, 2)), 3, 2, 2)
    assert sum(free(dims).values()) >= 2


def test_pixel_shuffle_keeps_its_squares() -> None:
    x = nl.input(3, 4, 4)
    y = nl.pixel_shuffle(nl.conv2d(x, 20, kernel=1, name="a"), 2)
    dims = judged(nl.Graph(x, nl.conv2d(y, 2, kernel=1, name="b")), 3, 4, 4)
    assert free(dims) == {"a": 5} and dims.of("b.weight")[1] == "a"


def test_a_shared_layer_is_one_tensor_at_all_its_calls() -> None:
    x = nl.input(4)
    first = nl.linear(x, 4, name="same")
    dims = analyse(nl.Graph(x, nl.linear(first, 4, like=first)))
    assert free(dims) == {}, "the layer reads its own result, which is as wide as the input"


def test_borders_and_what_no_rule_follows_are_frozen_with_the_reason() -> None:
    x = nl.input(4)
    graph = nl.Graph(x, nl.linear(nl.sort(nl.linear(x, 6, name="a"), 1)[0], 3, name="b"))
    dims = analyse(graph)
    assert free(dims) == {}
    reasons = [dims[axis].frozen for axis in (*dims.of("a.weight"), dims.of("b.weight")[0])]
    assert "sort" in reasons[0] and reasons[1:] == ["axis 1 of the result of input 'x'", "axis 1 of an output"]
