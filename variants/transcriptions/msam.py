"""w+ = base(w, g(w - rho v/|v|)), v the momentum buffer; no perturbation while v = 0."""

import numpy as np

SETTINGS = [{}, {"rho": 0.05}, {"rho": 3.0}]


def step(w, t, evaluate, descend, hyper, state, extra):
    v = extra.buffer
    ahead = w - hyper["rho"] * v / np.linalg.norm(v) if t > 0 else w
    return descend(w, evaluate(ahead)[1])
