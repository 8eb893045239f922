"""eps = rho/beta m g/|m g|, m a random subset of the tensors; base step with the gradient of the hardest gamma B."""

import numpy as np
import torch

SETTINGS = [{}, {"gamma": 1.0, "rho": 0.3}, {"beta": 1.0, "gamma": 0.25}, {"beta": 0.3, "gamma": 0.04, "rho": 0.2}]


def step(w, t, evaluate, descend, hyper, state, extra):
    _, g = evaluate(w)
    draws = torch.rand(len(extra.slices), generator=extra.noise()).numpy()
    for draw, at in zip(draws, extra.slices.values(), strict=True):
        if not draw < hyper["beta"]:
            g[at] = 0.0
    length = np.linalg.norm(g)
    there = w + hyper["rho"] / hyper["beta"] * g / length if length > 0 else w
    rise = extra.losses(there) - extra.losses(w)
    count = max(1, round(hyper["gamma"] * extra.batch))
    hardest = np.argsort(-rise, kind="stable")[:count]
    return descend(w, evaluate(there, hardest)[1])
