"""g at w + n/sqrt(N s), h at w + rho g/s, both by parts of the batch; m, s averages; w+ = w - lr m/s."""

import numpy as np
import torch

SETTINGS = [
    {"splits": 1},
    {},
    {"splits": 5, "data_size": 100.0, "rho": 0.1, "beta1": 0.5, "beta2": 0.9, "damping": 0.3, "precision": 2.0},
]


def step(w, t, evaluate, descend, hyper, state, extra):
    generator, decay = extra.noise(), extra.weight_decay
    m, s = state.get("m", np.zeros_like(w)), state.get("s", np.full_like(w, hyper["precision"]))
    size = -(-extra.batch // hyper["splits"])
    lengths, mean = np.zeros_like(w), np.zeros_like(w)
    for first in range(0, extra.batch, size):
        part = np.arange(first, min(first + size, extra.batch))
        draw = torch.randn(len(w), generator=generator).numpy().astype(float)
        _, g = evaluate(w + draw / np.sqrt(hyper["data_size"] * s), part)
        _, h = evaluate(w + hyper["rho"] * g / s, part)
        lengths += len(part) / extra.batch * np.sqrt(s) * np.abs(g)
        mean += len(part) / extra.batch * h
    state["m"] = hyper["beta1"] * m + (1 - hyper["beta1"]) * (mean + decay * w)
    state["s"] = hyper["beta2"] * s + (1 - hyper["beta2"]) * (lengths + hyper["damping"] + decay)
    return w - extra.lr * state["m"] / s
