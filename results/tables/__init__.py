"""From records to tables of plain values: comparability, rows, boards, tiers."""
