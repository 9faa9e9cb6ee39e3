# Sourced. From here on Ctrl-C, SIGTERM, SIGUSR1 and SIGUSR2 end the script with status 130, 143, 138 or 140, once its command has ended.

_child=
_received= # status for the signal that asked this script to end
trap '_forward INT 130 interrupted' INT
trap '_forward TERM 143 terminated' TERM
trap '_forward USR1 138 "time limit"' USR1 # SLURM sends one of these some time before a job must end
trap '_forward USR2 140 "time limit"' USR2

_forward() {
  _received=$2
  if [[ -n $_child ]]; then
    kill "-$1" "$_child" 2>/dev/null || true
  else
    echo "$3" >&2
    exit "$2"
  fi
}

# Linux sends SIGTERM to the command if this script is killed, and with it the way to forward signals.
_end_with_script=(setpriv --pdeathsig TERM)
"${_end_with_script[@]}" true 2>/dev/null || _end_with_script=()

# supervise COMMAND...: runs it and returns its status. In the background: bash handles no signal while it waits for a
# command in the foreground, and dies of SIGTERM without it.
supervise() {
  local status
  (trap - INT; exec "${_end_with_script[@]}" "$@") & # bash ignores Ctrl-C in the background
  _child=$!
  while
    status=0
    wait "$_child" 2>/dev/null || status=$?
    kill -0 "$_child" 2>/dev/null # a signal ends the wait, not the command
  do :; done
  _child=
  return "${_received:-$status}"
}

# run_stage LOG COMMAND...: supervises it; what it prints goes to LOG too.
run_stage() {
  local log=$1 status=0 tee try
  exec 3> >(trap '' INT TERM USR1 USR2; exec tee -- "$log")
  tee=$!
  supervise "${@:2}" >&3 3>&- || status=$?
  exec 3>&-
  # For its last lines, but not for ever: a worker that outlives a killed stage keeps the pipe open.
  for ((try = 0; try < 30; try++)); do
    kill -0 "$tee" 2>/dev/null || break
    sleep 0.1
  done
  case $status in
    129 | 13[1-79] | 14[124-9] | 15?)
      echo "error: the stage was killed by signal $((status - 128))$([[ $status == 137 ]] && echo ', for lack of memory perhaps'); the same command continues it" >&2 ;;
  esac
  return "$status"
}
