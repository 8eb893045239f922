#!/bin/bash

# Parameters
#SBATCH --array=0-2%3
#SBATCH --cpus-per-task=1
#SBATCH --job-name=sambench-ID.0
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --open-mode=append
#SBATCH --output=LAUNCH/jobs/%A_%a_0_log.out
#SBATCH --requeue
#SBATCH --signal=USR2@120
#SBATCH --time=90

# setup
set -e

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output LAUNCH/jobs/%A_%a_%t_log.out --export=ALL --cpus-per-task=1 --kill-on-bad-exit=1 sh LAUNCH/start.sh -u -m submitit.core._submit LAUNCH/jobs
