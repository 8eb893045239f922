"""g_t = g(w + rho g_{t-1} / |g_{t-1}|), first g at w; w+ = base(w, g_t)."""

import numpy as np

SETTINGS = [{}, {"rho": 0.5}]


def step(w, t, evaluate, descend, hyper, state, extra):
    eps = 0 if t == 0 else hyper["rho"] * state["g"] / np.linalg.norm(state["g"])
    _, state["g"] = evaluate(w + eps)
    return descend(w, state["g"])
