# Sets python_path to a Python that has all that the recipe and the tests need. Sourced, from any folder of a checkout.
# With python_path given that Python is used as it is; otherwise .venv at the top of the checkout, made when missing.

checkout=$(git rev-parse --show-toplevel 2>/dev/null || (cd ../.. && pwd))
export PYTHONPATH="$checkout${PYTHONPATH:+:$PYTHONPATH}"

find_python() {
  local name
  for name in python3.12 python3.11 python3.10 python3 python; do
    if "$name" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  echo "error: no Python 3.10 to 3.12 on PATH; install one, or name one with --python_path" >&2
  return 1
}

make_venv() {
  local venv=$checkout/.venv python
  python=$(find_python)
  echo "Setting up $venv with $python (about 5 GB)"
  rm -rf "$venv"
  "$python" -m venv "$venv" || {
    echo "error: $python cannot make a virtual environment; install its venv module (Debian: python3-venv)" >&2
    return 1
  }
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
  # Two packages would have to be compiled and are not used: asteroid requires pesq for a speech metric,
  # tinysoundfont, which plays the built-in songs, requires pyaudio for live output.
  printf '%s; python_version < "0"\n' pesq pyaudio >"$venv/overrides.txt"
  "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --overrides "$venv/overrides.txt" \
    --editable "$checkout[scoring,onnx,dev]" tinysoundfont pretty_midi
  cp "$checkout/setup.py" "$venv/complete" # last, so that an interrupted set-up is made again
}

if [[ -z $python_path ]]; then
  cmp -s "$checkout/setup.py" "$checkout/.venv/complete" || make_venv
  python_path=$checkout/.venv/bin/python
elif ! command -v "$python_path" >/dev/null; then
  echo "error: --python_path $python_path is no program; give the path of a python" >&2
  exit 1
fi

if ! { command -v ffmpeg && command -v ffprobe; } >/dev/null; then
  if [[ $(command id -u) == 0 ]] && command -v apt-get >/dev/null; then
    echo "Installing ffmpeg"
    { apt-get update && apt-get install --yes --no-install-recommends ffmpeg; } >/dev/null 2>&1 || true
  fi
  if ! { command -v ffmpeg && command -v ffprobe; } >/dev/null; then
    echo "note: ffmpeg and ffprobe are not on PATH; stem.mp4 files and museval scores need them (Debian: apt install ffmpeg, macOS: brew install ffmpeg, conda install ffmpeg)" >&2
  fi
fi
