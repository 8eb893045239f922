"""Tuning under one budget for all: where to search, what to try next, which setting wins, what was spent."""
