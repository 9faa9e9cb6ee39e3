#!/bin/bash
# Music source separation with TFSWA-UNet on MUSDB18: data, training, separation and scores.
#
#   bash run.sh --stage 0                                  built-in songs, small network, a few minutes
#   bash run.sh --stage 0 --musdb18_dir /data/musdb18hq    MUSDB18, MUSDB18-HQ or your own stems
#   bash run.sh --stage 0 --download musdb18hq             fetch the data set first
#   sbatch local/slurm.sh --musdb18_dir /data/musdb18hq    the same as a SLURM job, on any number of GPUs
#
# Stages: 0 sets up the environment and prepares data, 1 trains, 2 separates the test songs and scores them,
# 3 writes a page to listen to them.
# Every stage picks up what exists. Stop with Ctrl-C, start again with the same options.
#
# Options:
#   --stage N            stage to start at (default: 0)
#   --stop_stage N       stage to end after (default: 3)
#   --musdb18_dir DIR    folder with train/ and test/: songs as *.stem.mp4, or folders of stems as wav, flac, ogg or mp3
#   --download NAME      musdb18hq, musdb18 or sample: fetch it into data/
#   --data_dir DIR       prepared data (default: data/<name of the data set>)
#   --exp_dir DIR        training run and results (default: exp/train_tfswaunet_<tag>)
#   --tag NAME           name of the training run (default: name of the data set)
#   --id LIST            GPUs, "0" or "0,1", or cpu (default: all GPUs, or the CPU where there is none)
#   --python_path FILE   Python to use as it is (default: .venv in the checkout, made when missing)
#   --conf FILE          configuration (default: local/conf.yml; local/demo.yml for the built-in songs)

set -e

stage=0
stop_stage=3
musdb18_dir=
download=
data_dir=
exp_dir=
tag=
id=
python_path=
conf=

script_options="stage stop_stage musdb18_dir download data_dir exp_dir tag id python_path conf"

_user_dir=$PWD
_script=$(readlink -f -- "${BASH_SOURCE[0]}") # this file may be called through a link
CDPATH= cd -- "$(dirname -- "$_script")"
. utils/parse_options.sh # the rest, keys of the configuration, is in conf_options
. local/paths.sh
. local/environment.sh

export PYTHONUNBUFFERED=1
mkdir -p logs
if [[ $stage -le 0 && $stop_stage -ge 0 ]]; then
  echo "Stage 0: data in $data_dir"
  run_stage "logs/data_$tag.log" "$python_path" local/prepare_data.py --musdb18_dir "$musdb18_dir" \
    --download "$download" --data_dir "$data_dir" --conf "$conf" "${conf_options[@]}"
fi

if [[ $stage -le 1 && $stop_stage -ge 1 ]]; then
  echo "Stage 1: training in $exp_dir"
  task=${SLURM_PROCID:+.$SLURM_PROCID} # srun starts a run.sh for each device
  run_stage "logs/train_$tag${task#.0}.log" "$python_path" train.py --data_dir "$data_dir" --exp_dir "$exp_dir" \
    --musdb18_dir "$musdb18_dir" --id "$id" --conf "$conf" "${conf_options[@]}"
fi

if [[ $stage -le 2 && $stop_stage -ge 2 ]]; then
  echo "Stage 2: separation and scores in $exp_dir"
  run_stage "logs/eval_$tag.log" "$python_path" eval.py --data_dir "$data_dir" --exp_dir "$exp_dir" \
    --id "$id" --conf "$conf" "${conf_options[@]}"
fi

if [[ $stage -le 3 && $stop_stage -ge 3 ]]; then
  echo "Stage 3: page to listen to in $exp_dir/report"
  run_stage "logs/report_$tag.log" "$python_path" report.py --data_dir "$data_dir" --exp_dir "$exp_dir" \
    --conf "$conf" "${conf_options[@]}"
fi
