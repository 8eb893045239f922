"""Studies, one file each: a claim of the literature, what it predicts of a suite's runs, and the verdict on it."""
