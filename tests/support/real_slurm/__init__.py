"""A SLURM cluster of several nodes on this machine, of the daemons that real clusters run, for as long as a test."""
