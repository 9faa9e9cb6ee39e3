# Paths that the user gave, relative to where run.sh was called, and the defaults of those that were not given.

absolute() {
  case $1 in
    "" | /*) printf %s "$1" ;;
    *) printf %s "$_user_dir/$1" ;;
  esac
}

for name in stage stop_stage; do
  if [[ ! ${!name} =~ ^[0-2]$ ]]; then
    echo "error: --$name must be 0, 1 or 2: got ${!name}" >&2
    exit 1
  fi
done
if [[ -n $musdb18_dir && -n $download ]]; then
  echo "error: --musdb18_dir and --download exclude each other: give one of them" >&2
  exit 1
fi
if [[ -n $musdb18_dir ]]; then
  musdb18_dir=$(absolute "$musdb18_dir")
  data_set=$(basename "$(cd "$musdb18_dir" 2>/dev/null && pwd || printf %s "$musdb18_dir")") # of "." too
  [[ $data_set != / ]] || data_set=root
else
  data_set=${download:-builtin}
fi
if [[ -z $conf ]]; then
  conf=local/conf.yml
  [[ $data_set == builtin ]] && conf=local/demo.yml
elif [[ -e $(absolute "$conf") || ! -e $conf ]]; then
  conf=$(absolute "$conf")
fi
tag=${tag:-$data_set}
data_dir=$(absolute "$data_dir")
data_dir=${data_dir:-data/$data_set}
exp_dir=$(absolute "$exp_dir")
exp_dir=${exp_dir:-exp/train_tfswaunet_$tag}
[[ $python_path == */* ]] && python_path=$(absolute "$python_path")
true
