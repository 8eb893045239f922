"""SAM where |g|^2 >= mu + c sigma, plain descent elsewhere; mu, sigma^2 exponential averages, c linear in t/T."""

import numpy as np

SETTINGS = [{}, {"delta": 0.5, "lam1": 0.5, "lam2": -1.5, "rho": 0.3}, {"delta": 0.0, "lam1": 0.0, "lam2": 0.0}]


def step(w, t, evaluate, descend, hyper, state, extra):
    _, g = evaluate(w)
    d, square = hyper["delta"], g @ g
    state["mu"] = d * state.get("mu", 0.0) + (1 - d) * square
    state["var"] = d * state.get("var", 0.0) + (1 - d) * (square - state["mu"]) ** 2
    c = t / extra.total_steps * hyper["lam1"] + (1 - t / extra.total_steps) * hyper["lam2"]
    if square >= state["mu"] + c * np.sqrt(state["var"]):
        g = evaluate(w + hyper["rho"] * g / np.linalg.norm(g))[1]
    return descend(w, g)
