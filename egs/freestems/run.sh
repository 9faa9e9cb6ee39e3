#!/bin/bash
# Music source separation with TFSWA-UNet on songs rendered from free sounds: stage 0 renders them, the rest is ../musdb18.
#
#   bash run.sh                                  downloads the sounds (2 GB), renders 600 songs, then as ../musdb18/run.sh
#   bash run.sh --sources_dir /data/sources      with sounds that are there
#   bash run.sh --songs_dir /data/real           with real songs beside the rendered ones
#
# Options, besides those of ../musdb18/run.sh, which follow below (--musdb18_dir and --download are set here):
#   --sources_dir DIR    sounds with their index.tsv (default: download them into data/sources)
#   --more_sources LIST  optional archives to download as well: vocalset (2 GB)
#   --n_train N          songs to train on (default: 600)
#   --n_test N           songs to test on (default: 10; 0 with test songs in --songs_dir)
#   --seconds S          length of a song (default: 45)
#   --song_seed N        another series of songs (default: 0)
#   --render_dir DIR     where the songs go (default: data)
#   --songs_dir DIR      other songs beside the rendered ones: folder with train/, valid/ or test/, as for --musdb18_dir

set -e

recipe=$(CDPATH= cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
sources_dir=
songs_dir=
render_dir=$recipe/data
render_options=() # of local/render_songs.py
passed=()         # options of ../musdb18/run.sh
stage=0
tag=freestems
python_path=

fail() {
  echo "error: $1" >&2
  exit 1
}

while [[ $# -gt 0 ]]; do
  case $1 in
    --help | -h)
      sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      echo
      exec bash "$recipe/../musdb18/run.sh" --help ;;
    --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
    --musdb18_dir | --download)
      fail "$1 is set by this recipe; name your own songs with --songs_dir" ;;
    --sources_dir | --more_sources | --songs_dir | --render_dir | --n_train | --n_test | --seconds | --song_seed)
      [[ -n ${2-} && $2 != --* ]] || fail "$1 needs a value; see --help"
      case $1 in
        --sources_dir) sources_dir=$2 ;;
        --songs_dir) songs_dir=$2 ;;
        --render_dir) render_dir=$2 ;;
        *) render_options+=("$1" "$2") ;;
      esac
      shift 2 ;;
    *)
      case $1 in # needed here too
        --stage | --tag | --python_path) [[ -z ${2-} ]] || printf -v "${1#--}" %s "$2" ;;
      esac
      passed+=("$1")
      shift ;;
  esac
done

if [[ $stage == 0 ]]; then
  . "$recipe/../musdb18/local/environment.sh"
  passed+=(--python_path "$python_path")
  mkdir -p "$recipe/logs"
  echo "Stage 0: songs in $render_dir/songs"
  run_stage "$recipe/logs/songs_$tag.log" "$python_path" "$recipe/local/render_songs.py" --sources_dir "$sources_dir" \
    --songs_dir "$songs_dir" --render_dir "$render_dir" "${render_options[@]}"
fi

exec bash "$recipe/../musdb18/run.sh" --musdb18_dir "$render_dir/songs" --data_dir "$render_dir/prepared" --tag "$tag" \
  --exp_dir "$recipe/exp/train_tfswaunet_$tag" --conf "$recipe/local/conf.yml" "${passed[@]}"
