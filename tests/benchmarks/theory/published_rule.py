"""The published rule over the paper's whole figure of constant against decreasing steps, in plain NumPy.

    python tests/benchmarks/theory/published_rule.py        # writes published_rule.json beside it, in some minutes

It is written from the formulas, with the published order of random draws and the published 1e-7 beside norms, and
shares no solver code with the package. What it is held to, and what it is there for, is in ``test_published.py``.
"""

import json
from pathlib import Path

import numpy as np

from sambench.benchmarks.theory.problems import published_decreasing

RECORD = Path(__file__).with_name("published_rule.json")
LAMBDAS, TRIALS, EPOCHS = (0.0, 0.5, 1.0), 5, 10_000


def run(rows, targets, reg, x0, index, gamma, rho, lam, decreasing, mu, record):
    """Run one component a step for all trials side by side.

    Args:
        rows, targets, reg: the ridge problem, (n, d), (n,) and r.
        index: the component of every step, (trials, steps).
        record: increasing numbers of steps after which to look.

    Returns:
        f there, (trials, looks).
    """
    x = np.repeat(x0[None], len(index), 0)
    values = []

    def gradient(at, a, y):
        return a * ((a * at).sum(1, keepdims=True) - y) + reg * at

    for k in range(record[-1]):
        a, y = rows[index[:, k]], targets[index[:, k], None]
        rate = min(gamma, (2 * k + 1) / ((k + 1) ** 2 * mu)) if decreasing else gamma
        radius = min(rho, 1 / (2 * k + 1)) if decreasing else rho
        g = gradient(x, a, y)
        norm = np.sqrt((g * g).sum(1, keepdims=True))
        x = x - rate * gradient(x + radius * (1 - lam + lam / (norm + 1e-7)) * g, a, y)
        if k + 1 == record[len(values)]:
            values.append(((rows @ x.T - targets[:, None]) ** 2).mean(0) / 2 + reg / 2 * (x * x).sum(1))
    return np.transpose(values)


def figure(epochs: int, trials: int, looks: int) -> list[dict]:
    """Return step sizes and relative gaps of every line of the figure, in the published order of random draws."""
    problem, rng = published_decreasing()
    a, y, x0 = problem.features.numpy(), problem.targets.numpy(), problem.x0.numpy()
    n, d = a.shape
    reg = 3 / n
    best = np.linalg.solve(a.T @ a / n + reg * np.eye(d), a.T @ y / n)

    def f(x):
        return ((a @ x - y) ** 2).mean() / 2 + reg / 2 * (x @ x)

    mu = np.linalg.eigvalsh(a.T @ a / n)[0] + reg
    largest = (a * a).sum(1).max() + reg
    record = np.linspace(0, epochs * n, looks + 1).astype(int)[1:]
    lines = []
    for decreasing in (False, True):
        for lam in LAMBDAS:
            gamma = min(2, mu / (8 * largest)) / largest
            rho = (1 if lam == 1 else min(1, mu / (2 * largest * (1 - lam) ** 2))) / (4 * largest)
            index = np.stack([rng.choice(n, size=record[-1]) for _ in range(trials)])
            values = run(a, y, reg, x0, index, gamma, rho, lam, decreasing, mu, record)
            relative = (values - f(best)) / (f(x0) - f(best))
            lines.append({"decreasing": decreasing, "lam": lam, "gamma": gamma, "rho": rho, "gap": relative.tolist()})
    return lines


if __name__ == "__main__":
    lines = figure(EPOCHS, TRIALS, looks=10)
    RECORD.write_text(json.dumps({"epochs": EPOCHS, "trials": TRIALS, "lines": lines}, indent=1) + "\n")
