"""w+ = base(w, g + lam mean_j (g(w + rho u_j) - g)), u ~ N(0, I)."""

import numpy as np
import torch

SETTINGS = [{}, {"rho": 0.1, "lam": 0.4, "samples": 3}]


def normal(extra, generator):
    return np.concatenate([torch.randn(shape, generator=generator).numpy().ravel() for shape in extra.shapes.values()])


def step(w, t, evaluate, descend, hyper, state, extra):
    generator = extra.noise()
    _, g = evaluate(w)
    around = [evaluate(w + hyper["rho"] * normal(extra, generator).astype(float))[1] for _ in range(hyper["samples"])]
    return descend(w, g + hyper["lam"] * (np.mean(around, axis=0) - g))
