"""e = w + rho g/|g|; lr = min([f(e) - f* - <ge, e - w>]+ / |ge|^2, gamma_b); momentum SGD with ge and that lr."""

import numpy as np

SETTINGS = [{}, {"rho": 0.3, "f_star": 0.2, "gamma_b": 0.5}, {"gamma_b": 0.05}, {"f_star": 0.9}]


def step(w, t, evaluate, descend, hyper, state, extra):
    _, g = evaluate(w)
    eps = hyper["rho"] * g / np.linalg.norm(g)
    loss, ge = evaluate(w + eps)
    rate = min(max(loss - hyper["f_star"] - ge @ eps, 0.0) / (ge @ ge), hyper["gamma_b"])
    state["v"] = extra.momentum * state.get("v", 0.0) + ge + extra.weight_decay * w
    return w - rate * state["v"]
