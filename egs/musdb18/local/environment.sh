# Sets python_path to a Python that has all that the recipe and the tests need. Sourced, from any folder.
# With python_path given that Python is used as it is; otherwise .venv at the top of the checkout, made when missing.

checkout=$(CDPATH= cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd -P)
venv=$checkout/.venv
if [[ -f $checkout/asteroid_tfswa_cli.py ]]; then # not where the recipe was copied to
  export PYTHONPATH="$checkout${PYTHONPATH:+:$PYTHONPATH}"
fi
. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/supervise.sh"

find_python() {
  local name
  for name in python3.12 python3.11 python3.10 python3 python; do
    if is_supported "$name"; then
      command -v "$name"
      return
    fi
  done
  echo "error: no Python 3.10 to 3.12 on PATH; install one, or name one with --python_path" >&2
  return 1
}

is_supported() {
  "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null
}

stamp() { # what a complete .venv was made for
  echo "$checkout"
  cat "$checkout/setup.py"
}

is_ready() {
  stamp | cmp -s - "$venv/complete" && is_supported "$venv/bin/python"
}

check_ours() { # a .venv that somebody else made is left alone
  local owner
  if [[ -e $venv/asteroid-tfswa ]]; then
    owner=$(<"$venv/asteroid-tfswa")
    [[ $owner == "$checkout" || ! $owner/.venv -ef $venv ]] && return # ours, also when the checkout has moved
  elif [[ -e $venv/complete || ! -e $venv ]]; then
    return # from an earlier version
  fi
  echo "error: $venv was not made by this recipe; move it away, or use it with --python_path $venv/bin/python" >&2
  return 1
}

set_up() {
  local python
  echo "Setting up $venv (about 5 GB)"
  mkdir -p "$venv"
  echo "$checkout" >"$venv/asteroid-tfswa" # first, so that an interrupted set-up is continued
  if ! is_supported "$venv/bin/python"; then
    python=$(find_python)
    rm -rf "$venv"/{bin,include,lib,lib64,pyvenv.cfg}
    supervise "$python" -m venv "$venv" || fail_set_up $? "$python cannot make a virtual environment; install its venv module (Debian: python3-venv)"
  fi
  supervise "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv || fail_set_up $?
  supervise "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" \
    --overrides "$checkout/egs/musdb18/local/overrides.txt" --editable "$checkout[scoring,onnx,demo,freestems,dev]" || fail_set_up $?
  stamp >"$venv/complete"
}

fail_set_up() { # STATUS [REASON]
  case $1 in
    130) echo interrupted ;;
    143) echo terminated ;;
    *) echo "error: ${2:-setting up $venv failed; the same command continues it}" ;;
  esac >&2
  exit "$1"
}

if [[ -n $python_path ]]; then
  if [[ -d $python_path ]] || ! command -v "$python_path" >/dev/null; then
    echo "error: --python_path $python_path is no program; give the path of a python" >&2
    exit 1
  fi
  if ! "$python_path" -c 'import asteroid_tfswa_cli' >/dev/null 2>&1; then
    echo "error: --python_path $python_path has no asteroid_tfswa; install it there (pip install .), or name another" >&2
    exit 1
  fi
else
  if ! is_ready; then
    check_ours
    exec 9<"$checkout" # locked while one run sets up; some network disks have no locks
    if flock -n 9 2>/dev/null || [[ $? != 1 ]]; then
      :
    else
      echo "Another run is setting up $venv; waiting for it"
      supervise flock 9
    fi
    is_ready || set_up
    exec 9<&-
  fi
  python_path=$venv/bin/python
fi

has_ffmpeg() {
  command -v ffmpeg && command -v ffprobe
} >/dev/null

if ! has_ffmpeg && [[ $(command id -u) == 0 ]] && command -v apt-get >/dev/null; then
  echo "Installing ffmpeg"
  supervise bash -c 'apt-get update && apt-get install --yes --no-install-recommends ffmpeg' >/dev/null 2>&1 || [[ -z $_received ]]
fi
if ! has_ffmpeg; then
  echo "note: ffmpeg and ffprobe are not on PATH; stem.mp4 files and --scorer museval need them (Debian: apt install ffmpeg, macOS: brew install ffmpeg, conda install ffmpeg)" >&2
fi
