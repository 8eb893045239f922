"""Problems on small real data: two data sets of scikit-learn, and LIBSVM files.

scikit-learn is imported in the functions that use it, since the import takes a second.
"""

from pathlib import Path

import numpy as np

from ....errors import DataError
from .linear import LinearModel
from .matrices import Matrix
from .registry import PROBLEMS

LARGEST = 20_000_000
"""Largest size n * d of a file's dense matrix: the spectrum of a larger one takes minutes."""


CONSTANT = 1e-12
"""Range of a column, as a share of its largest entry, up to which it is taken to be constant."""


def standardize(features: Matrix) -> Matrix:
    """Center and scale every column, drop those constant to rounding, and append a column of ones (the intercept)."""
    varying = features[:, np.ptp(features, axis=0) > CONSTANT * np.abs(features).max(0)]
    scaled = (varying - varying.mean(0)) / varying.std(0)
    return np.hstack([scaled, np.ones((len(scaled), 1))])


@PROBLEMS.named("breast-cancer")
def breast_cancer(regularization: float | None = None) -> LinearModel:
    """Logistic regression on the Wisconsin breast-cancer data (n = 569, d = 31); regularization 1/n unless given."""
    from sklearn.datasets import load_breast_cancer

    features, target = map(np.asarray, load_breast_cancer(return_X_y=True))
    a, y = standardize(features), np.where(target == 1, 1.0, -1.0)
    r = 1 / len(a) if regularization is None else regularization
    return LinearModel("breast-cancer", a, y, "logistic", r)


@PROBLEMS.named("diabetes")
def diabetes(regularization: float | None = None) -> LinearModel:
    """Ridge regression on the diabetes data (n = 442, d = 11), targets scaled to unit variance; 1/n unless given."""
    from sklearn.datasets import load_diabetes

    features, target = map(np.asarray, load_diabetes(return_X_y=True))
    a, y = standardize(features), target / target.std()
    r = 1 / len(a) if regularization is None else regularization
    return LinearModel("diabetes", a, y, regularization=r)


@PROBLEMS.named("libsvm:FILE")
def libsvm(path: str | Path, regularization: float | None = None) -> LinearModel:
    """A file in LIBSVM format: logistic regression if it has two labels, else ridge regression.

    Features are standardized; regression targets are scaled to unit variance; the regularization is 1/n unless given.

    Args:
        path: the file (also compressed by gzip or bzip2), one sample a line: ``label index:value index:value ...``.

    Raises:
        DataError: the file does not exist, is not in that format, holds no two different labels, or is so large that
            its exact constants are out of reach.
    """
    from sklearn.datasets import load_svmlight_file

    file = Path(path)
    if not file.is_file():
        raise DataError(f"{str(path)!r} does not exist; give the path of a file in LIBSVM format")
    try:
        sparse, y = load_svmlight_file(str(file))
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{str(path)!r} is not in LIBSVM format (label index:value ...): {error}") from error
    n, d = sparse.shape
    if n * d > LARGEST:
        raise DataError(
            f"{str(path)!r} has {n} samples of {d} features; a theory problem knows its exact spectrum and "
            f"holds at most {LARGEST:,} numbers: give a part of it"
        )
    values = np.asarray(sparse.todense())
    if len(np.unique(y)) < 2 or not (np.isfinite(values).all() and np.isfinite(y).all()):
        raise DataError(f"{str(path)!r} needs two different labels or more, and finite numbers, in its {n} samples")
    a = standardize(values)
    r = 1 / n if regularization is None else regularization
    if len(np.unique(y)) == 2:
        return LinearModel(file.stem, a, np.where(y == y.max(), 1.0, -1.0), "logistic", r)
    return LinearModel(file.stem, a, y / y.std(), regularization=r)
