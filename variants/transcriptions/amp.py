"""delta = clip(delta + inner_lr g(w + delta)) N times, each tensor to the norm epsilon; w+ = base(w, g(w + delta))."""

import numpy as np

SETTINGS = [
    {},
    {"epsilon": 0.05},
    {"epsilon": 0.1, "inner_steps": 3, "inner_lr": 0.5},
    {"inner_steps": 0},
    {"epsilon": 1e6, "inner_lr": 0.2, "inner_steps": 2},
]


def step(w, t, evaluate, descend, hyper, state, extra):
    delta = np.zeros_like(w)
    _, g = evaluate(w)
    for _ in range(hyper["inner_steps"]):
        delta = delta + hyper["inner_lr"] * g
        for at in extra.slices.values():
            norm = np.linalg.norm(delta[at])
            if norm > hyper["epsilon"]:
                delta[at] *= hyper["epsilon"] / norm
        _, g = evaluate(w + delta)
    return descend(w, g)
