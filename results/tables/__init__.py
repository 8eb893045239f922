"""From records to tables of plain values: which runs compare, what a row says, boards, tiers."""
