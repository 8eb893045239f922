"""delta_l = sigma rms(w_l) z_l; g = g(w + delta); w+ = base(w, g(w + delta + rho g / |g|))."""

import numpy as np
import torch

SETTINGS = [{}, {"sigma": 0.3, "rho": 0.2}, {"sigma": 0.0}]


def step(w, t, evaluate, descend, hyper, state, extra):
    stream = extra.noise()
    delta = np.zeros_like(w)
    for name, at in extra.slices.items():
        z = torch.randn(extra.shapes[name], generator=stream).double().numpy().ravel()
        delta[at] = hyper["sigma"] * np.sqrt(np.mean(w[at] ** 2)) * z
    _, g = evaluate(w + delta)
    _, worst = evaluate(w + delta + hyper["rho"] * g / np.linalg.norm(g))
    return descend(w, worst)
