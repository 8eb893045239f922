"""Plain steps, then SAM from step round((1 - tail) T) on."""

import numpy as np

SETTINGS = [{}, {"tail": 0.75, "rho": 0.3}, {"tail": 1.0}, {"tail": 0.0}]


def step(w, t, evaluate, descend, hyper, state, extra):
    _, g = evaluate(w)
    if t >= round((1 - hyper["tail"]) * extra.total_steps):
        g = evaluate(w + hyper["rho"] * g / np.linalg.norm(g))[1]
    return descend(w, g)
