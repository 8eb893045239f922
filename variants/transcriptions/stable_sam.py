"""w+ = base(w, |g| / |g_p| g_p), g_p = g(w + rho g / |g|)."""

import numpy as np

SETTINGS = [{}, {"rho": 0.4}, {"rho": 0.0}]


def step(w, t, evaluate, descend, hyper, state, extra):
    _, g = evaluate(w)
    length = np.linalg.norm(g)
    _, g_p = evaluate(w + hyper["rho"] * g / length)
    return descend(w, length / np.linalg.norm(g_p) * g_p)
