"""w+ = base(w, g(w + rho g))."""

SETTINGS = [{}, {"rho": 0.4}]


def step(w, t, evaluate, descend, hyper, state, extra):
    _, g = evaluate(w)
    _, worst = evaluate(w + hyper["rho"] * g)
    return descend(w, worst)
