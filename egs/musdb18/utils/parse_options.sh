# Options of a script by the names of its variables, as in Kaldi and Asteroid: set the defaults, name the variables in
# script_options, then source this. Keys of local/conf.yml and their values are collected in the array conf_options.

conf_options=()
conf_keys=$(sed -n 's/^  \([a-z_0-9]*\):.*/\1/p' local/conf.yml)

fail() {
  echo "error: $1" >&2
  exit 1
}

is_one_of() { # WORD NAMES
  [[ $1 =~ ^[a-z][a-z_0-9]*$ && " ${2//$'\n'/ } " == *" $1 "* ]]
}

did_you_mean() { # the name that differs in the fewest letters, if there are few
  printf '%s\n' $script_options $conf_keys | awk -v word="${1:0:40}" '
    {
      for (j = 0; j <= length($0); j++) row[j] = j
      for (i = 1; i <= length(word); i++) {
        diagonal = row[0]
        row[0] = i
        for (j = 1; j <= length($0); j++) {
          least = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1
          replaced = diagonal + (substr(word, i, 1) != substr($0, j, 1))
          diagonal = row[j]
          row[j] = least < replaced ? least : replaced
        }
      }
      if (NR == 1 || row[length($0)] < best) { best = row[length($0)]; name = $0 }
    }
    END { if (best <= 1 + length(word) / 4) printf " (did you mean --%s?)", name }'
}

while [[ $# -gt 0 ]]; do
  case $1 in
    --help | -h)
      sed -n '2,/^$/s/^# \{0,1\}//p' "${_script:-$0}"
      echo
      echo "Keys of the configuration, each an option by its own name, with the values allowed and the defaults of local/conf.yml:"
      awk '/^  [a-z_0-9]+:/ { key = $1; sub(":", "", key); line = $0; sub(/^ *[a-z_0-9]+: */, "", line)
             split(line, part, / +# /); printf "  --%-18s %s (%s)\n", key, part[2], part[1] }' local/conf.yml
      exit 0 ;;
    --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
    --*)
      _name=${1#--}
      if is_one_of "$_name" "$script_options"; then
        [[ $# -gt 1 && $2 != --* ]] || fail "$1 needs a value; see --help"
        [[ -n $2 ]] || fail "$1 is empty; give a value, or leave it out for its default"
        printf -v "$_name" %s "$2"
        shift 2
      elif is_one_of "$_name" "$conf_keys"; then
        [[ $# -gt 1 && $2 != --* ]] || fail "$1 needs a value; see --help"
        conf_options+=("$1")
        shift
        while [[ $# -gt 0 && $1 != --* ]]; do
          conf_options+=("$1")
          shift
        done
      else
        fail "unknown option $1$(did_you_mean "$_name"); see --help"
      fi ;;
    *)
      fail "unexpected argument $1; options are --name value, see --help" ;;
  esac
done
