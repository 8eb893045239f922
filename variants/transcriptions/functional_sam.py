"""w+ = base(w, J(w + rho g/|g|)^T dl/dz at w)."""

import numpy as np

SETTINGS = [{}, {"rho": 0.3}, {"rho": 1.0}]


def step(w, t, evaluate, descend, hyper, state, extra):
    cotangent = extra.loss_cotangent(w)
    g = extra.vjp(w, cotangent)
    return descend(w, extra.vjp(w + hyper["rho"] * g / np.linalg.norm(g), cotangent))
