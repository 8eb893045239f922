"""A random mask M of P - ceil(s P) ones; every ``mask_every`` steps the smallest |g| in it make room for random others.

w+ = base(w, g(w + M rho g / |g|)); the share that is replaced is drop (1 + cos(pi t / T)) / 2.
"""

import numpy as np
import torch

SETTINGS = [
    {"mask_every": 1},
    {"mask_every": 3, "sparsity": 0.8, "drop": 0.3, "rho": 0.4},
    {"mask_every": 2, "sparsity": 0.2, "drop": 1.0},
    {"mask_every": 4, "sparsity": 0.0},
    {"mask_every": 4, "sparsity": 1.0},
]


def step(w, t, evaluate, descend, hyper, state, extra):
    size, stream = len(w), extra.noise()
    live = size - int(np.ceil(hyper["sparsity"] * size))
    if t == 0:
        lot = torch.rand(size, generator=stream).numpy()
        state["mask"] = np.zeros(size, bool)
        state["mask"][np.argsort(-lot)[:live]] = True
    mask = state["mask"]
    _, g = evaluate(w)
    if t % hyper["mask_every"] == 0:
        dying = int(live * hyper["drop"] * (1 + np.cos(np.pi * t / extra.total_steps)) / 2)
        dying = min(dying, size - live)
        alive, dead = np.flatnonzero(mask), np.flatnonzero(~mask)
        lot = torch.rand(size, generator=stream).numpy()
        weakest = alive[np.argsort(np.abs(g[alive]))[:dying]]
        drawn = dead[np.argsort(-lot[dead])[:dying]]
        state["mask"] = mask.copy()
        state["mask"][weakest] = False
        state["mask"][drawn] = True
    _, worst = evaluate(w + mask * hyper["rho"] * g / np.linalg.norm(g))
    return descend(w, worst)
