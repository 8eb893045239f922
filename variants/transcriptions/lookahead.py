"""Base steps; when k divides their number, s <- s + alpha (w - s) and w <- s. s = w_0 at first."""

SETTINGS = [{}, {"k": 1}, {"k": 3, "alpha": 0.8}, {"k": 4, "alpha": 0.0}]


def step(w, t, evaluate, descend, hyper, state, extra):
    slow = state.setdefault("slow", w)
    w = descend(w, evaluate(w)[1])
    if (t + 1) % hyper["k"] == 0:
        w = state["slow"] = slow + hyper["alpha"] * (w - slow)
    return w
