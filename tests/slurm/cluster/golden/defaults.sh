#!/bin/bash

# Parameters
#SBATCH --cpus-per-task=1
#SBATCH --job-name=sambench-ID.0
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --open-mode=append
#SBATCH --output=LAUNCH/jobs/%j_0_log.out
#SBATCH --requeue
#SBATCH --signal=USR2@120
#SBATCH --time=240

# setup
set -e

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output LAUNCH/jobs/%j_%t_log.out --export=ALL --cpus-per-task=1 --kill-on-bad-exit=1 sh LAUNCH/start.sh -u -m submitit.core._submit LAUNCH/jobs
