# %% [markdown]
# # Quiet and restless decades
#
# How many great earthquakes are there in a year? Between 1900 and 2006 some decades were quiet and some were not, and a year is like
# the year before it.

# %%
import matplotlib.pyplot as plt
import torch

from ppgen import datasets, diagram
from ppgen.inference import AIS, EM, NUTS
from ppgen.models import HiddenMarkov

years = torch.arange(1900, 2007)
counts = datasets.load("earthquakes").x
quakes = HiddenMarkov(2, "poisson", initial="stationary", like=counts)
diagram(quakes, counts)

# %% [markdown]
# The paths of states are summed out exactly, so any engine of continuous unknowns finds the rest: chains for the posterior, EM for the
# most likely rates. The published ones are 15.5 and 26.1 a year (Zucchini & MacDonald, 2009).

# %%
likeliest = EM(priors=False, seed=0, progress=False).run(quakes, counts)
print("by EM:", [round(rate, 2) for rate in likeliest.identified().draws["rate"].flatten()[:2].tolist()])

# %%
posterior = NUTS(num_samples=300, seed=0, progress=False).run(quakes, counts).identified()
posterior.summary().filter(regex="rate|transition", axis=0)

# %% [markdown]
# Draws of whole paths come with the posterior. Their mean is the probability of a restless year.

# %%
restless = posterior.draws["state"].double().mean((0, 1)).flatten()
figure, axes = plt.subplots(figsize=(7, 3))
axes.bar(years.numpy(), counts.numpy(), color="lightgrey")
axes.set(ylabel="earthquakes of magnitude 7 and above")
chance = axes.twinx()
chance.plot(years.numpy(), restless, color="C1")
chance.set(ylabel="probability of a restless year", ylim=(0, 1))

# %% [markdown]
# Two kinds of decades, or three? Annealing from the prior to the posterior estimates the evidence of each number of states, with its
# standard error; the names of the states count in it, all of their orders.

# %%
for states in (1, 2, 3):
    found = AIS(num_temperatures=100, num_particles=100, progress=False).evidence(HiddenMarkov(states, "poisson", like=counts), counts)
    print(f"{states} states: log evidence {found.log_evidence:.1f}, give or take {found.standard_error:.1f}")
