"""a = gamma/(1-gamma). Coupled: base(w, a gp + (1-a) g). Decoupled: base(w, g) - lr a (gp - g)."""

import numpy as np

SETTINGS = [
    {"rho": rho, "gamma": gamma, "decoupled": decoupled}
    for rho, gamma in [(0.05, 0.9), (0.3, 0.5), (0.1, 0.2)]
    for decoupled in (True, False)
]


def step(w, t, evaluate, descend, hyper, state, extra):
    a = hyper["gamma"] / (1 - hyper["gamma"])
    _, g = evaluate(w)
    _, gp = evaluate(w + hyper["rho"] * g / np.linalg.norm(g))
    if hyper["decoupled"]:
        return descend(w, g) - extra.lr * a * (gp - g)
    return descend(w, a * gp + (1 - a) * g)
