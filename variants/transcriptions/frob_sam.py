"""w+ = base(w, g + lam / rho^2 Cov_j(L_j, g_j)), sample covariance (n - 1) over u ~ N(0, I)."""

import numpy as np
import torch

SETTINGS = [{}, {"rho": 0.1, "lam": 0.1, "samples": 4}]


def normal(extra, generator):
    return np.concatenate([torch.randn(shape, generator=generator).numpy().ravel() for shape in extra.shapes.values()])


def step(w, t, evaluate, descend, hyper, state, extra):
    generator, n = extra.noise(), hyper["samples"]
    _, g = evaluate(w)
    seen = [evaluate(w + hyper["rho"] * normal(extra, generator).astype(float)) for _ in range(n)]
    losses, gradients = np.array([loss for loss, _ in seen]), np.array([gradient for _, gradient in seen])
    covariance = (losses @ gradients - losses.sum() * gradients.mean(axis=0)) / (n - 1)
    return descend(w, g + hyper["lam"] / hyper["rho"] ** 2 * covariance)
