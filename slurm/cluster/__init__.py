"""The SLURM executor: commands, submission, job, queue, snapshot of the code, profiles."""
