"""w+ = base(w, mean over samples of the SAM gradients of their micro-batches of m)."""

import numpy as np

SETTINGS = [{"m": m, "rho": 0.3} for m in (1, 4, 5, 12, 100)]


def step(w, t, evaluate, descend, hyper, state, extra):
    total = np.zeros_like(w)
    for first in range(0, extra.batch, hyper["m"]):
        micro = np.arange(first, min(first + hyper["m"], extra.batch))
        _, g = evaluate(w, micro)
        _, worst = evaluate(w + hyper["rho"] * g / np.linalg.norm(g), micro)
        total += len(micro) * worst
    return descend(w, total / extra.batch)
