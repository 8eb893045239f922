#!/bin/bash

# Parameters
#SBATCH --account=physics
#SBATCH --array=0-2%3
#SBATCH --constraint=a100
#SBATCH --cpus-per-task=6
#SBATCH --exclusive
#SBATCH --gpus-per-node=2
#SBATCH --job-name=sambench-ID.0
#SBATCH --mem=25088M
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --open-mode=append
#SBATCH --output=LAUNCH/jobs/%A_%a_0_log.out
#SBATCH --partition=gpu
#SBATCH --qos=normal
#SBATCH --requeue
#SBATCH --reservation=workshop
#SBATCH --signal=USR2@300
#SBATCH --time=1800

# setup
set -e
module load cuda

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output LAUNCH/jobs/%A_%a_%t_log.out --export=ALL --cpus-per-task=6 --kill-on-bad-exit=1 sh LAUNCH/start.sh -u -m submitit.core._submit LAUNCH/jobs
