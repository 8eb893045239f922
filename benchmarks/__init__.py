"""HOW: run specs, models, the harness and the command line."""
