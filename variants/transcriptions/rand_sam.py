"""w+ = base(w, g(w + rho z / |z|)), z standard normal."""

import numpy as np
import torch

SETTINGS = [{}, {"rho": 0.5}]


def step(w, t, evaluate, descend, hyper, state, extra):
    stream = extra.noise()
    z = np.concatenate(
        [torch.randn(shape, generator=stream).double().numpy().ravel() for shape in extra.shapes.values()]
    )
    _, worst = evaluate(w + hyper["rho"] * z / np.linalg.norm(z))
    return descend(w, worst)
