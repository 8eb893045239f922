"""t % k == 0: base(w, gs), gv = gs - proj_g gs. Otherwise base(w, g + alpha |g|/|gv| gv)."""

import numpy as np

SETTINGS = [{}, {"k": 3, "rho": 0.3, "alpha": 0.2}, {"k": 1}, {"k": 10, "alpha": 1.0}]


def step(w, t, evaluate, descend, hyper, state, extra):
    _, g = evaluate(w)
    if t % hyper["k"] == 0:
        _, gs = evaluate(w + hyper["rho"] * g / np.linalg.norm(g))
        state["gv"] = gs - (gs @ g) / (g @ g) * g
        return descend(w, gs)
    gv = state["gv"]
    return descend(w, g + hyper["alpha"] * np.linalg.norm(g) / np.linalg.norm(gv) * gv)
