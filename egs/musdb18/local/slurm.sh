#!/bin/bash
# The whole recipe as one SLURM job: data, training on all its GPUs, scores. Call it in the folder of run.sh, with run.sh's
# options except --stage, --stop_stage, --id and --num_nodes:
#
#   sbatch local/slurm.sh --musdb18_dir /data/musdb18hq                                                  one GPU
#   sbatch --nodes 2 --gpus-per-node 4 --ntasks-per-node 4 local/slurm.sh --musdb18_dir /data/musdb18hq   eight GPUs
#
# A task is a GPU; all nodes see the same folders. Two minutes before its time is over SLURM sends SIGUSR1: training saves
# its state, puts the job back into the queue and ends with status 138. When the job starts again it continues from there, or
# from the last state saved if a node failed.
#SBATCH --job-name=tfswaunet
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=9
#SBATCH --time=24:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%x-%j.log

set -e
cd -- "${SLURM_SUBMIT_DIR:?is not set: submit this file with sbatch}"

# Since SLURM 22.05 srun does not inherit the number of cores from the job.
cpus="--cpus-per-task=${SLURM_CPUS_PER_TASK:-1}"
srun "$cpus" --nodes=1 --ntasks=1 --ntasks-per-node=1 bash run.sh --stage 0 --stop_stage 0 "$@"
srun "$cpus" --kill-on-bad-exit=1 bash run.sh --stage 1 --stop_stage 1 --num_nodes "$SLURM_JOB_NUM_NODES" "$@"
srun "$cpus" --nodes=1 --ntasks=1 --ntasks-per-node=1 bash run.sh --stage 2 "$@"
