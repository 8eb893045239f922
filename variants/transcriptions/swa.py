"""The mean of the weights at the ends of every c-th epoch after the start; the last weights while there is none."""

import numpy as np

SETTINGS = [{}, {"swa_start": 0.4}, {"swa_start": 0.01, "swa_every": 2}, {"swa_start": 1.0}]


def step(w, t, evaluate, descend, hyper, state, extra):
    return descend(w, evaluate(w)[1])


def evaluated(w, t, hyper, state, extra):
    kept = state.setdefault("kept", [])
    epochs = extra.total_steps // extra.steps_per_epoch
    first = round(hyper["swa_start"] * epochs) + 1
    ends = [e * extra.steps_per_epoch for e in range(first, epochs + 1, hyper["swa_every"])]
    if t + 1 in ends:
        kept.append(w)
    return np.mean(kept, axis=0) if kept else w
