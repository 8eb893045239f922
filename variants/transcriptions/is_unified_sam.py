"""unified_sam on a batch with importance weights, which are part of every mean: the same formulas."""

import numpy as np

SETTINGS = [
    {"rho": rho, "lam": lam, "lam_clock": clock}
    for rho, lam in [(0.2, 0.0), (0.2, 0.5), (0.3, 1.0), (0.1, "1/t"), (0.4, "1-1/t")]
    for clock in ("step", "epoch")
]


def step(w, t, evaluate, descend, hyper, state, extra):
    count = t + 1 if hyper["lam_clock"] == "step" else extra.epoch + 1
    lam = {"1/t": 1 / count, "1-1/t": 1 - 1 / count}.get(hyper["lam"], hyper["lam"])
    _, g = evaluate(w)
    _, worst = evaluate(w + hyper["rho"] * (1 - lam + lam / np.linalg.norm(g)) * g)
    return descend(w, worst)
