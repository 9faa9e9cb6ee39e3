#!/bin/bash
# Sets up the environment, as the recipe does, and runs the tests: bash tests/run.sh [--python_path FILE] [pytest arguments]

set -e
python_path=
if [[ $1 == --python_path ]]; then
  python_path=$2
  shift 2
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. egs/musdb18/local/environment.sh
"$python_path" -m pytest tests -n 2 --dist loadfile "$@"
