"""w+ = base(w, (1 - alpha) g1 + alpha g(w + rho g/|g|)), g1 = g or g/|g|."""

import numpy as np

SETTINGS = [
    {"rho": rho, "alpha": alpha, "unit_first": unit}
    for rho, alpha in [(0.1, 0.8), (0.3, 0.2), (0.05, 1.5)]
    for unit in (False, True)
]


def step(w, t, evaluate, descend, hyper, state, extra):
    _, g = evaluate(w)
    unit = g / np.linalg.norm(g)
    _, gp = evaluate(w + hyper["rho"] * unit)
    first = unit if hyper["unit_first"] else g
    return descend(w, (1 - hyper["alpha"]) * first + hyper["alpha"] * gp)
