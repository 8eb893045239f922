"""w+ = base(w, g_p - alpha (g - <g, g_p> g_p / |g_p|^2)), radius linear in the learning rate from rho_min to rho."""

import numpy as np

SETTINGS = [
    {},
    {"rho": 0.3, "rho_min": 0.3, "alpha": 0.0},
    {"rho": 0.6, "rho_min": 0.1, "alpha": 0.6, "lr_min": 0.03},
    {"rho": 2.0, "rho_min": 2.0, "alpha": 0.4, "adaptive": True},
    {"rho": 0.6, "rho_min": 0.1, "lr_max": 0.2},
    {"rho": 0.6, "rho_min": 0.1, "lr_max": 0.05},
]


def step(w, t, evaluate, descend, hyper, state, extra):
    scale = np.abs(w) if hyper["adaptive"] else np.ones_like(w)
    peak = hyper["lr_max"] or extra.peak_lr
    fraction = min(1, max(extra.lr - hyper["lr_min"], 0) / (peak - hyper["lr_min"]))
    rho = hyper["rho_min"] + (hyper["rho"] - hyper["rho_min"]) * fraction
    _, g = evaluate(w)
    _, g_p = evaluate(w + rho * scale**2 * g / np.linalg.norm(scale * g))
    unit = g_p / np.linalg.norm(g_p)
    across = g - (g @ unit) * unit
    return descend(w, g_p - hyper["alpha"] * across)
