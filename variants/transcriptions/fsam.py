"""d = g - sigma m, m = lam m + (1 - lam) g, first d = m = g; w+ = base(w, g(w + rho d / |d|))."""

import numpy as np

SETTINGS = [{}, {"lam": 0.6, "rho": 0.2}, {"sigma": 0.0}, {"sigma": 0.5, "lam": 0.95}]


def step(w, t, evaluate, descend, hyper, state, extra):
    _, g = evaluate(w)
    if t == 0:
        d, state["m"] = g, g
    else:
        d = g - hyper["sigma"] * state["m"]
        state["m"] = hyper["lam"] * state["m"] + (1 - hyper["lam"]) * g
    _, worst = evaluate(w + hyper["rho"] * d / np.linalg.norm(d))
    return descend(w, worst)
