"""On a batch with importance weights, which are part of every mean: w+ = base(w, g(w + rho g / |g|))."""

import numpy as np

SETTINGS = [{}, {"rho": 0.3}, {"rho": 1.0}]


def step(w, t, evaluate, descend, hyper, state, extra):
    _, g = evaluate(w)
    _, worst = evaluate(w + hyper["rho"] * g / np.linalg.norm(g))
    return descend(w, worst)
