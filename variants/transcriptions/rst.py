"""With probability p_t a SAM step, else a plain one; the coin is Python's, seeded like the step's noise."""

import random

import numpy as np

SETTINGS = [{}, {"p_start": 0.1, "p_end": 0.9, "rho": 0.3}, {"p_start": 1.0, "p_end": 0.0}]


def step(w, t, evaluate, descend, hyper, state, extra):
    p = hyper["p_start"] + (hyper["p_end"] - hyper["p_start"]) * (t + 0.5) / extra.total_steps
    coin = random.Random(extra.noise().initial_seed()).random()
    _, g = evaluate(w)
    if coin < p:
        g = evaluate(w + hyper["rho"] * g / np.linalg.norm(g))[1]
    return descend(w, g)
