"""d: the gradient at the point that the last step extrapolated to, on the last batch.

y = w - eta (mu b + d + delta w), the step of SGD with momentum buffer b and weight decay delta that d would make;
d' = gradient at y on this batch; p = gradient at w + rho d / |d| on the last batch; the base takes (1-lam) p + lam d'.
The first step has d = d' = gradient at w, and p on the same batch.
"""

import numpy as np

SETTINGS = [{}, {"rho": 0.3, "lam": 0.5}, {"lam": 0.0}, {"lam": 1.0}, {"rho": 0.0}]


def step(w, t, evaluate, descend, hyper, state, extra):
    if t == 0:
        _, d = _, ahead = evaluate(w)
        before = evaluate
    else:
        d, before = state["d"], extra.other(-1).evaluate
        _, ahead = evaluate(w - extra.lr * (extra.momentum * extra.buffer + d + extra.weight_decay * w))
    _, worst = before(w + hyper["rho"] * d / np.linalg.norm(d))
    state["d"] = ahead
    return descend(w, (1 - hyper["lam"]) * worst + hyper["lam"] * ahead)
