"""Every ``mask_every`` steps M marks the largest sums of squared single-sample gradients.

w+ = base(w, g(w + M rho g / |g|)).
"""

import numpy as np

SETTINGS = [
    {"mask_every": 1},
    {"mask_every": 3, "sparsity": 0.8, "rho": 0.4},
    {"mask_every": 7, "samples": 3},
    {"mask_every": 4, "sparsity": 0.0},
    {"mask_every": 4, "sparsity": 1.0, "rho": 0.5},
]


def step(w, t, evaluate, descend, hyper, state, extra):
    _, g = evaluate(w)
    if t % hyper["mask_every"] == 0:
        count = min(hyper["samples"], extra.batch)
        fisher = sum(evaluate(w, np.array([i]))[1] ** 2 for i in range(count))
        keep = max(1, int(np.floor(len(w) * (1 - hyper["sparsity"]))))
        state["mask"] = np.zeros_like(w)
        state["mask"][np.argsort(fisher)[len(w) - keep :]] = 1
    _, worst = evaluate(w + state["mask"] * hyper["rho"] * g / np.linalg.norm(g))
    return descend(w, worst)
