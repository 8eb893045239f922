"""WHAT CAME OUT: records, statistics, tables, the leaderboard, plots and validation."""
