"""k times: climb by rho g/|g|, base step on the fast weights with the gradient there; then w + alpha (fast - w)."""

import numpy as np

SETTINGS = [
    {"rho": rho, "k": k, "alpha": alpha}
    for rho, k in [(0.05, 2), (0.2, 3), (0.1, 1)]
    for alpha in (0.5, 0.2, "adaptive")
]


def step(w, t, evaluate, descend, hyper, state, extra):
    climbed, fast, ends = w, w, []
    for _ in range(hyper["k"]):
        _, g = evaluate(climbed)
        climbed = climbed + hyper["rho"] * g / np.linalg.norm(g)
        fast = descend(fast, evaluate(climbed)[1])
        ends.append(fast)
    if hyper["alpha"] != "adaptive":
        return w + hyper["alpha"] * (fast - w)
    new = w.copy()
    for at in extra.slices.values():
        first, last = ends[0][at] - w[at], fast[at] - w[at]
        alpha = (first @ last / np.linalg.norm(first) / np.linalg.norm(last) + 1) / 2
        new[at] += alpha * last
    return new
