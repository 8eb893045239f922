"""phi(m) = m^-2, psi(t) = exp(-t/2), u uniform in a cube; w+ = base(w, g + lam phi'(m) mean_j psi'(t_j) (g_j - g))."""

import numpy as np
import torch

SETTINGS = [{}, {"rho": 0.7, "half_side": 0.2, "lam": 0.5, "samples": 3}]


def cube(extra, generator):
    return np.concatenate([torch.rand(shape, generator=generator).numpy().ravel() for shape in extra.shapes.values()])


def step(w, t, evaluate, descend, hyper, state, extra):
    generator, rho = extra.noise(), hyper["rho"]
    loss, g = evaluate(w)
    psi, slopes = [], []
    for _ in range(hyper["samples"]):
        u = hyper["half_side"] * (2 * cube(extra, generator).astype(float) - 1)
        near, gradient = evaluate(w + rho * u)
        value = np.exp(-(near - loss) / rho**2 / 2)
        psi.append(value)
        slopes.append(-0.5 * value * (gradient - g))
    return descend(w, g + hyper["lam"] * (-2 / np.mean(psi) ** 3) * np.mean(slopes, axis=0))
