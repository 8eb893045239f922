"""Measures of a trained network by name, one a file; a new file that registers one is found by itself."""
