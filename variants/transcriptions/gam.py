"""h = g1 - g0, w2 = w + rho h/|h|, G = b1 g1 + (1 - b1) g3, p = g0 + b2 g2; descend on G - gamma (p - proj_G p)."""

import numpy as np

SETTINGS = [
    {},
    {"rho": 0.2, "rho_inner": 0.03, "beta1": 0.1, "beta2": 0.9, "gamma": 0.05},
    {"rho": 0.5, "rho_inner": 0.1, "beta1": 0.0, "beta2": 1.0, "gamma": 0.5},
]


def unit(v):
    return v / np.linalg.norm(v)


def step(w, t, evaluate, descend, hyper, state, extra):
    inner = hyper["rho_inner"]
    _, g0 = evaluate(w)
    _, g1 = evaluate(w + inner * unit(g0))
    w2 = w + hyper["rho"] * unit(g1 - g0)
    _, g2 = evaluate(w2)
    _, g3 = evaluate(w2 + inner * unit(g2))
    main = hyper["beta1"] * g1 + (1 - hyper["beta1"]) * g3
    p = g0 + hyper["beta2"] * g2
    projected = (p @ main) / (main @ main) * main
    return descend(w, main - hyper["gamma"] * (p - projected))
