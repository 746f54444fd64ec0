"""The three examples of NaiveNASflux's README: editing a small network, pruning on xor, adding layers to a trained network."""

from __future__ import annotations

from statistics import median

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

import netloom as nl
from netloom.mutate.gathering import ActivationContribution
from tests.mutate.conformance import checked, network, preserved, sizes


# -- editing -------------------------------------------------------------------------------------------------------------
def residual() -> nl.Graph:
    """Two convolutions side by side, the first with batch norm and relu, then a residual convolution."""
    x = nl.input(3, 8, 8, name="in")
    plain = nl.conv2d(x, 5, kernel=3, padding=1, name="conv")
    normed = nl.relu(nl.batch_norm(plain, name="norm.bn"), name="norm.relu")
    both = nl.cat([normed, nl.conv2d(x, 7, kernel=5, padding=2, name="namedconv")], 1, name="concat")
    return nl.Graph(x, nl.add(both, nl.conv2d(both, 12, kernel=3, padding=1, name="residualconv"), name="add"))


def vertices(graph: nl.Graph) -> int:
    """Nodes, where a norm and its activation are one."""
    return sum(node.op != "relu" for node in graph.nodes)


def test_editing_a_network_with_a_concatenation_and_a_residual() -> None:
    original = network(residual())
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    edit = nl.edit(original, io=True)
    edit["add"].resize(out=-3)
    conv, named = sizes(edit, "conv", "namedconv")
    assert sizes(edit, "add", "residualconv", "concat") == (9, 9, 9) and conv + named == 9
    assert vertices(edit.graph) == 7
    edit.remove("norm")
    assert vertices(edit.graph) == 6 and not any(node.name.startswith("norm") for node in edit.graph.nodes)
    edit.insert_after("residualconv", [nl.op.batch_norm(), nl.op.relu()])
    assert vertices(edit.graph) == 7
    edit["namedconv"].change(kernel=3)
    assert edit.graph["namedconv"].attrs["padding"] == (1, 1)
    assert original.get_parameter("namedconv.weight").shape == (7, 3, 5, 5)
    net = checked(edit)
    assert net.get_parameter("namedconv.weight").shape == (named, 3, 3, 3)
    assert net(x).shape == (2, 9, 8, 8) and original(x).shape == (2, 12, 8, 8)


# -- pruning -------------------------------------------------------------------------------------------------------------
X, Y = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]), torch.tensor([[0.0], [1], [1], [0]])


def solved(seed: int) -> tuple[nl.Network, ActivationContribution]:
    """A network of 32 hidden neurons that has learned xor, and what each of them contributed."""
    x = nl.input(2)
    hidden = nl.relu(nl.linear(x, 32, name="hidden"))
    net = nl.build(nl.Graph(x, nl.sigmoid(nl.linear(hidden, 1, name="out"))), seed=seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    with ActivationContribution(net) as contribution:
        for _ in range(50):
            optimizer.zero_grad()
            mse_loss(net(X), Y).backward()
            optimizer.step()
    return net, contribution


def halved(net: nl.Network, value: object, seed: int = 0) -> float:
    edit = nl.edit(net, value=value, seed=seed)
    edit["hidden"].resize(out=-16)
    return mse_loss(edit.result(X), Y).item()


def test_pruning_half_of_a_network_that_knows_xor() -> None:
    rows = []
    for seed in range(5):
        net, contribution = solved(seed)
        scores = nl.mutate.values.atom_scores(contribution, net, net.graph, nl.mutate.analyse(net.graph))["hidden"]
        loss = mse_loss(net(X), Y).item()
        drawn = median(halved(net, "random", number) for number in range(3))
        rows.append((halved(net, {"hidden": -scores}), drawn, halved(net, contribution), loss))
    most, drawn, least, loss = (median(column) for column in zip(*rows))
    assert most > drawn > least and loss < 0.001
    # Dropping what contributes least changes next to nothing, and gains nothing but rounding.
    assert -1e-6 < median(row[2] - row[3] for row in rows) < 1e-5


# -- adding layers -------------------------------------------------------------------------------------------------------
def two_dimensional_xor(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, 1, 4, 4) of zeros and ones, with classes (N, 2): in half of them the quadrants on one diagonal are equal, and
    the negation of those on the other; the rest is random."""
    half = count // 2
    q = torch.randint(0, 2, (half, 2, 2), generator=generator).float()
    ordered = torch.cat([torch.cat([1 - q, q], 2), torch.cat([q, 1 - q], 2)], 1)
    anything = torch.randint(0, 2, (count - half, 4, 4), generator=generator).float()
    classes = torch.eye(2)[[1] * half + [0] * (count - half)]
    return torch.cat([ordered, anything])[:, None], classes


def convolutions(count: int) -> nl.Graph:
    x = y = nl.input(1, 4, 4)
    for i in range(count):
        y = nl.relu(nl.conv2d(y, 16, kernel=3, padding=1, name=f"conv{i}"), name=f"relu{i}")
    return nl.Graph(x, nl.linear(nl.flatten(nl.avg_pool2d(y, 4)), 2, name="out"))


def fit(net: nl.Network, optimizer: torch.optim.Optimizer, generator: torch.Generator) -> None:
    for _ in range(20):
        x, y = two_dimensional_xor(64, generator)
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(net(x), y).backward()
        optimizer.step()


def losses(seed: int) -> tuple[float, float, float, float, float]:
    """Loss of one convolution before and after 20 steps; after 20 more: of that with two layers added, of three convolutions
    from scratch, of that as it was."""
    generator = torch.Generator().manual_seed(seed)
    x, y = two_dimensional_xor(1024, generator)

    def loss(net: nl.Network) -> float:
        with torch.no_grad():
            return binary_cross_entropy_with_logits(net(x), y).item()

    original = nl.build(convolutions(1), seed=seed)
    optimizer = torch.optim.Adam(original.parameters(), lr=0.01)
    first = loss(original)
    fit(original, optimizer, generator)
    second = loss(original)
    edit = nl.edit(original)
    pair = [nl.op.conv2d(16, kernel=3, padding=1), nl.op.relu()]
    edit.insert_after("relu0", pair * 2)
    added = edit.result
    assert edit.plan.preserving and torch.equal(added(x), original(x))
    carried = edit.optimizer(optimizer)
    moments = optimizer.state[original.get_parameter("conv0.weight")]
    assert torch.equal(carried.state[added.get_parameter("conv0.weight")]["exp_avg"], moments["exp_avg"])
    scratch = nl.build(convolutions(3), seed=seed)
    state = generator.get_state()
    for net, its in (added, carried), (scratch, torch.optim.Adam(scratch.parameters(), lr=0.01)), (original, optimizer):
        generator.set_state(state)
        fit(net, its, generator)
    return first, second, loss(added), loss(scratch), loss(original)


def test_added_layers_learn_sooner_than_new_ones() -> None:
    first, second, added, scratch, original = (median(column) for column in zip(*map(losses, range(10))))
    assert abs(first - second) < 0.1
    assert added < scratch < original


def test_layers_added_after_training_stay_identities_for_other_inputs() -> None:
    net = network(convolutions(1))
    edit = nl.edit(net)
    edit.insert_after("relu0", [nl.op.conv2d(16, kernel=3, padding=1), nl.op.relu(), nl.op.conv2d(16, kernel=3, padding=1)])
    preserved(edit)
