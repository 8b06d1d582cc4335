# %% [markdown]
# # Spins that like to agree
#
# On a torus of 4 x 4 sites every spin prefers to agree with its four neighbours. So few spins can be summed out exactly, so what a
# sampler finds can be held against the truth.

# %%
import matplotlib.pyplot as plt
import networkx as nx

from ppgen import sample
from ppgen.inference import Gibbs
from ppgen.models import Ising

torus = nx.grid_2d_graph(4, 4, periodic=True)

# %%
energies = []
for beta in (0.2, 0.44, 0.7):
    spins = sample(Ising(torus, inverse_temperature=beta), 400, engine=Gibbs(num_warmup=100, progress=False))["x"]
    nodes = {node: i for i, node in enumerate(torus)}
    pairs = [(nodes[a], nodes[b]) for a, b in torus.edges]
    energies.append(-sum(spins[..., a] * spins[..., b] for a, b in pairs).double().mean() / len(nodes))
print([round(float(e), 3) for e in energies])

# %%
figure, axes = plt.subplots(figsize=(4, 3))
axes.plot((0.2, 0.44, 0.7), energies, marker="o")
axes.set(xlabel="inverse temperature", ylabel="energy of a spin")
