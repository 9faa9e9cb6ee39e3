# Options of a script by the names of its variables, as in Kaldi and Asteroid: set the defaults, then source this.
# --name value sets a variable that exists; all other options are collected in the array conf_options.

conf_options=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --help | -h)
      sed -n '2,/^$/s/^# \{0,1\}//p' "$(basename "$0")"
      echo
      echo "Keys of the configuration, each an option by its own name, with the defaults of local/conf.yml:"
      awk '/^  [a-z_0-9]+:/ { key = $1; sub(":", "", key); line = $0; sub(/^ *[a-z_0-9]+: */, "", line)
             split(line, part, / +# /); printf "  --%-18s %s (%s)\n", key, part[2], part[1] }' local/conf.yml
      exit 0 ;;
    --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
    --*)
      _name=${1#--}
      if [[ $_name =~ ^[a-z][a-z_0-9]*$ && -v $_name ]]; then
        if [[ $# -lt 2 ]]; then
          echo "error: $1 needs a value; see --help" >&2
          exit 1
        fi
        printf -v "$_name" %s "$2"
        shift 2
      else
        conf_options+=("$1")
        shift
        while [[ $# -gt 0 && $1 != --* ]]; do
          conf_options+=("$1")
          shift
        done
      fi ;;
    *)
      echo "error: unexpected argument $1; options are --name value, see --help" >&2
      exit 1 ;;
  esac
done
