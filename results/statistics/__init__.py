"""Pure functions of arrays: intervals, tie groups, aggregates over workloads."""
