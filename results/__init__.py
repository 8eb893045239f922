"""WHAT CAME OUT: record schema, store, statistics, leaderboard and plots."""
