"""w+ = base(w, g+ + gamma (g+ + g- - 2g) + beta (g+ - g-)), g+- = g(w +- rho g/|g|)."""

import numpy as np

SETTINGS = [{}, {"rho": 0.3, "gamma": 0.5, "beta": 0.2}, {"gamma": 0.0, "beta": 0.3}, {"gamma": 0.7, "beta": 0.0}]


def step(w, t, evaluate, descend, hyper, state, extra):
    _, g = evaluate(w)
    eps = hyper["rho"] * g / np.linalg.norm(g)
    plus, minus = evaluate(w + eps)[1], evaluate(w - eps)[1]
    return descend(w, plus + hyper["gamma"] * (plus + minus - 2 * g) + hyper["beta"] * (plus - minus))
