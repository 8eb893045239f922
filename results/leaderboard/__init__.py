"""From tables to LEADERBOARD.md."""
