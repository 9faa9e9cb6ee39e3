# Checks the options of run.sh. Paths that the user gave are relative to where run.sh was called; the others get defaults.

absolute() {
  case $1 in
    "" | /*) printf %s "$1" ;;
    *) printf %s "$_user_dir/$1" ;;
  esac
}

for name in stage stop_stage; do
  [[ ${!name} =~ ^[0-3]$ ]] || fail "--$name must be 0, 1, 2 or 3: got ${!name}"
done
[[ $stage -le $stop_stage ]] || fail "--stage $stage comes after --stop_stage $stop_stage: there is nothing to do"
[[ $id =~ ^(|cpu(:[1-9][0-9]?)?|[0-9]{1,3}(,[0-9]{1,3})*)$ ]] || fail "--id must be GPUs like 0 or 0,1, or cpu: got $id"
[[ -z $musdb18_dir || -z $download ]] || fail "--musdb18_dir and --download exclude each other: give one of them"

data_set=${download:-builtin}
if [[ -n $musdb18_dir ]]; then
  musdb18_dir=$(absolute "$musdb18_dir")
  if folder=$(CDPATH= cd -- "$musdb18_dir" 2>/dev/null && pwd); then
    musdb18_dir=$folder # has a name for . and .. too
  fi
  data_set=$(basename -- "$musdb18_dir")
  [[ $data_set != / ]] || fail "--musdb18_dir / is the root of the disk: give the folder with train/ and test/"
fi
if [[ -z $conf ]]; then
  conf=local/conf.yml
  [[ -n $musdb18_dir || -n $download ]] || conf=local/demo.yml
elif [[ -e $(absolute "$conf") || ! -e $conf ]]; then
  conf=$(absolute "$conf")
fi
tag=${tag:-$data_set}
[[ $tag != */* && $tag != *[[:cntrl:]]* && ${#tag} -le 100 ]] ||
  fail "--tag becomes part of names of files: at most 100 characters and no slash: got $tag"
data_dir=$(absolute "$data_dir")
data_dir=${data_dir:-data/$data_set}
exp_dir=$(absolute "$exp_dir")
exp_dir=${exp_dir:-exp/train_tfswaunet_$tag}
for i in "${!conf_options[@]}"; do
  if [[ $i -gt 0 && ${conf_options[i - 1]} == --init_from && -e $(absolute "${conf_options[i]}") ]]; then
    conf_options[i]=$(absolute "${conf_options[i]}")
  fi
done
[[ $python_path != */* ]] || python_path=$(absolute "$python_path")
