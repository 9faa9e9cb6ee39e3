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
for word in "$@"; do
  if [[ $word == --help || $word == -h ]]; then
    sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    echo
    exec bash "$recipe/../musdb18/run.sh" --help
  fi
done

stage=0
stop_stage=3
musdb18_dir=
download=
data_dir=
exp_dir=
tag=freestems
id=
python_path=
conf=$recipe/local/conf.yml
sources_dir=
more_sources=
songs_dir=
render_dir=
n_train=
n_test=
seconds=
song_seed=

musdb18_options="stage stop_stage data_dir exp_dir tag id python_path conf"
song_options="sources_dir more_sources songs_dir render_dir n_train n_test seconds song_seed"
script_options="$musdb18_options $song_options musdb18_dir download"

# Options are read and checked as ../musdb18/run.sh will do it, as songs take hours to render.
_user_dir=$PWD
CDPATH= cd -- "$recipe/../musdb18"
. utils/parse_options.sh
for name in musdb18_dir download; do
  [[ -z ${!name} ]] || fail "--$name is set by this recipe; name your own songs with --songs_dir"
done
names_songs=$render_dir
render_dir=${render_dir:-$recipe/data}
musdb18_dir=$render_dir/songs
data_dir=${data_dir:-$render_dir/prepared}
exp_dir=${exp_dir:-$recipe/exp/train_tfswaunet_$tag}
. local/paths.sh
for name in sources_dir songs_dir render_dir; do
  printf -v "$name" %s "$(absolute "${!name}")"
done

options_of() { # NAMES: those that have a value, as options, in the array options
  local name
  options=()
  for name in $1; do
    [[ -z ${!name} ]] || options+=("--$name" "${!name}")
  done
}

if [[ $stage == 0 ]]; then
  . local/environment.sh
  mkdir -p "$recipe/logs"
  echo "Stage 0: songs in $render_dir/songs"
  options_of "$song_options conf"
  run_stage "$recipe/logs/songs_$tag.log" "$python_path" "$recipe/local/render_songs.py" "${options[@]}" "${conf_options[@]}"
fi

[[ $stage == 0 || -n $names_songs ]] || musdb18_dir= # a later stage takes data_dir as it is
options_of "musdb18_dir $musdb18_options"
exec bash run.sh "${options[@]}" "${conf_options[@]}"
