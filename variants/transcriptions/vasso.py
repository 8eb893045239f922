"""d = (1 - theta) d + theta g, first d = g; w+ = base(w, g(w + rho d / |d|))."""

import numpy as np

SETTINGS = [{"theta": 0.9}, {"theta": 0.4, "rho": 0.3}, {"theta": 1.0}, {"theta": 0.0}]


def step(w, t, evaluate, descend, hyper, state, extra):
    _, g = evaluate(w)
    theta = hyper["theta"]
    state["d"] = g if t == 0 else (1 - theta) * state["d"] + theta * g
    _, worst = evaluate(w + hyper["rho"] * state["d"] / np.linalg.norm(state["d"]))
    return descend(w, worst)
