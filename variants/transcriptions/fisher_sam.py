"""F = diag(1 + eta g^2); w+ = base(w, g(w + rho F^-1 g / sqrt(g' F^-1 g)))."""

import numpy as np

SETTINGS = [{}, {"eta": 100.0, "rho": 0.3}, {"eta": 0.0}]


def step(w, t, evaluate, descend, hyper, state, extra):
    _, g = evaluate(w)
    natural = np.linalg.solve(np.diag(1 + hyper["eta"] * g**2), g)
    _, worst = evaluate(w + hyper["rho"] * natural / np.sqrt(g @ natural))
    return descend(w, worst)
