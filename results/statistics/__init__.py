"""Pure functions of arrays: intervals, groups of methods that are not told apart, aggregates over workloads."""
