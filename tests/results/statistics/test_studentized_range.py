"""The studentised range against scipy's."""

import pytest
from scipy import stats

from sambench.results.statistics.studentized_range import quantile, tail


@pytest.mark.parametrize(("k", "degrees"), [(2, 1), (50, 1), (3, 2), (10, 3.5), (10, 4), (50, 7), (30, 400)])
@pytest.mark.parametrize("alpha", [0.9, 0.05, 0.001])
def test_quantiles_are_those_of_scipy(k, degrees, alpha):
    found = quantile(k, degrees, alpha)
    assert found == pytest.approx(stats.studentized_range.ppf(1 - alpha, k, degrees), rel=1e-8)
    assert tail(found, k, degrees) == pytest.approx(alpha, rel=1e-8)
