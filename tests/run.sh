#!/bin/bash
# Sets up the environment, as the recipe does, and runs the tests: bash tests/run.sh [--python_path FILE] [pytest arguments]

set -e
python_path=
if [[ $1 == --python_path ]]; then
  python_path=$2
  [[ $2 != */* || $2 == /* ]] || python_path=$PWD/$2
  shift 2
fi
CDPATH= cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
. egs/musdb18/local/environment.sh
export OMP_NUM_THREADS=1 # two processes share two cores: more threads would wait for each other
# in the order of the files: sorted by their number of tests, those that start processes would come last
exec "$python_path" -m pytest tests -n 2 --dist loadfile --no-loadscope-reorder "$@"
