# %% [markdown]
# # Parameters that nobody trained
#
# A graph hypernetwork looks at the graph of a network and predicts all of its parameters. The one that comes with netloom was
# trained on the embedded digits (`benchmarks/ghn_digits.py`).

# %%
import torch

import netloom as nl

torch.set_num_threads(1)
ghn = nl.ghn.load("digits")
task = nl.tasks.load("digits")
print(type(ghn).__name__, f"{sum(p.numel() for p in ghn.parameters()):,} parameters")

# %% [markdown]
# A network that it has never seen, written down here, and how the hypernetwork sees it:

# %%
x = y = nl.input(1, 8, 8)
for channels, kernel, pool in ((16, 3, False), (16, 5, True), (8, 3, True), (16, 3, False)):
    y = nl.relu(nl.batch_norm(nl.conv2d(y, channels, kernel=kernel, padding=kernel // 2)))
    y = nl.max_pool2d(y, 2) if pool else y
graph = nl.Graph(x, nl.linear(nl.flatten(nl.adaptive_avg_pool2d(y, 1)), 10))
print(nl.ghn.hyper_graph(graph))

# %% [markdown]
# Its parameters, predicted, beside random ones. Batch norms go by the statistics of the batch.

# %%
print(ghn.predict(graph).summary())
filled = nl.ghn.evaluate(ghn, [graph], task, part="test")
fresh = nl.ghn.evaluate(None, [graph], task, part="test")
print(f"predicted: {filled.mean:.1%} of the test digits, random: {fresh.mean:.1%}")

# %% [markdown]
# The first of the test digits, and what the network that nobody trained says of the first twelve:

# %%
network = ghn(graph)
images, labels = next(iter(task.test.batches(64)))
with torch.no_grad():
    said = network(images).argmax(1)
low, high = float(images[0].min()), float(images[0].max())
for row in images[0, 0]:
    print("".join(" .:-=+*#%@"[int(9.99 * (float(value) - low) / (high - low))] * 2 for value in row))
print("said ", said[:12].tolist())
print("right", labels[:12].tolist())

# %% [markdown]
# Trained on from there, and from random weights, for two epochs:

# %%
for how in ("random", "ghn:digits"):
    start = nl.build(graph, seed=0)
    nl.ghn.initialise(start, how, beta=3e-5)
    result = nl.train(start, task, epochs=2)
    print(f"{how:<12}", [f"{point.score:.1%}" for point in result.curve])

# %% [markdown]
# With a published hypernetwork the same lines predict ResNet-50 for CIFAR-10: `nl.ghn.load("ghn2_cifar10")`, fetched once;
# `netloom ghn eval ghn2_cifar10 --task cifar10` measures it.
