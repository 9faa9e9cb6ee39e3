"""Configurations: a YAML file, each key of which is also an option of the command.

The recipe's ``conf.yml`` is the one place that lists the keys. The value of a key is its default
and gives its type; the comment after it is its help and ends in its range (see `ranges`). Other
files name only what they change.
"""

import argparse
import difflib
import re
from pathlib import Path

from asteroid_tfswa import strict_yaml
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.ranges import parse_range

# Names of losses in earlier versions, and what they are called now.
OLD_LOSSES = {
    "multisrc_mse": "mse",
    "multisrc_snr": "snr",
    "multisrc_neg_snr": "snr",
    "multisrc_sisdr": "sisdr",
    "multisrc_neg_sisdr": "sisdr",
    "multisrc_sdsdr": "sdsdr",
    "multisrc_neg_sdsdr": "sdsdr",
}

# Sections that keys were in before: files of users still have them there.
MOVED = {
    **dict.fromkeys(("random_mix", "gain_min", "gain_max", "channel_swap"), ("data",)),
    "valid_segment": ("training",),
}


def parse_command(parser, base, argv=None, derive=None):
    """Parse a command with the options of `parser`, ``--conf`` and every key of `base`.

    Args:
        parser (argparse.ArgumentParser): with the command's own options.
        base (str or Path): the YAML file that has all keys, in sections.
        argv (list of str, optional): the arguments. Defaults to those of the process.
        derive (callable, optional): see `read_keys`.

    Returns:
        tuple[argparse.Namespace, dict]: the command's own options, and the configuration as
        ``{section: {key: value}}`` of plain types: `base`, changed by the file of ``--conf``,
        changed by options.

    Raises:
        InputError: for a file that cannot be read, an unknown key or option, or a value of the
            wrong type or out of its range.
    """
    add_keys(parser, base)
    known = [action.option_strings[-1] for action in parser._actions]
    parser.error = lambda message: _refuse(message, known)
    args = parser.parse_args(argv)
    return args, read_keys(args, base, derive)


def add_keys(parser, base):
    """Add ``--conf`` and every key as an option.

    Args:
        parser (argparse.ArgumentParser): the parser.
        base (str or Path): see `parse_command`.
    """
    sections, comments = read_yaml(base), _comments(base)
    parser.add_argument("--conf", help="YAML file with the keys to change", metavar="FILE")
    for title, section in sections.items():
        group = parser.add_argument_group(f"{title} (keys of {Path(base).name})")
        for key, value in section.items():
            group.add_argument(
                f"--{key}",
                nargs="+" if isinstance(value, (list, dict)) else None,
                default=argparse.SUPPRESS,
                metavar=_type_name(value).upper(),
                help=f"{comments.get(key, '')} (default: {_shown(value)})".replace("%", "%%"),
            )


def read_keys(args, base, derive=None):
    """Make the configuration of what `add_keys` let a user say.

    Args:
        args (argparse.Namespace): what was said; the keys are removed.
        base (str or Path): see `parse_command`.
        derive (callable, optional): from `args` and all keys with their values to a dict of values
            that take the place of those in `base`, for keys that neither the file of ``--conf`` nor
            an option names.

    Returns:
        dict: the configuration, see `parse_command`.

    Raises:
        InputError: see `parse_command`.
    """
    sections, comments = read_yaml(base), _comments(base)
    defaults = {key: value for section in sections.values() for key, value in section.items()}
    ranges = {key: parse_range(comments.get(key, ""), value) for key, value in defaults.items()}
    changes, names = {}, {}  # of the keys that are changed: value, and what messages call it
    if args.conf:
        changes = _flatten(args.conf, read_yaml(args.conf), sections)
        names = {key: f"{args.conf}: {key}" for key in changes}
    for key, default in defaults.items():
        if hasattr(args, key):
            names[key] = f"--{key}"
            has_entries = ranges[key].entries is not None
            changes[key] = _parsed(getattr(args, key), default, names[key], has_entries)
            delattr(args, key)
    if derive is not None:
        defaults |= derive(args, {**defaults, **changes})
    merged = {key: current_value(key, value) for key, value in {**defaults, **changes}.items()}
    checked = {
        key: ranges[key].check(names.get(key, key), value, merged) for key, value in merged.items()
    }
    return {title: {key: checked[key] for key in section} for title, section in sections.items()}


def _comments(base):
    return dict(re.findall(r"(?m)^  (\w+):.*?  # (.*)$", Path(base).read_text("utf-8")))


def current_value(key, value):
    """Translate a value that an earlier version gave a key.

    Args:
        key (str): the key.
        value: its value.

    Returns:
        what says the same now: "loss" maps names to weights, and was one name.
    """
    if key == "loss" and isinstance(value, str):
        value = [value]
    if key == "loss" and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return {OLD_LOSSES.get(name, name): 1.0 for name in value}
    return value


def read_yaml(path):
    """Read a YAML file of sections.

    Args:
        path (str or Path): the file.

    Returns:
        dict: ``{section: {key: value}}``.

    Raises:
        InputError: if the file is missing or is not YAML of that form.
    """
    conf = strict_yaml.read_yaml(path)
    if not isinstance(conf, dict) or not all(isinstance(s, dict) for s in conf.values()):
        raise InputError(f"{path} must have sections with keys, like local/conf.yml")
    return conf


def _parsed(words, default, name, has_entries):
    """Parse words of the command line as in the YAML file, ``[a, b]`` and ``{a: 1}`` included."""
    if isinstance(words, str):
        return words if isinstance(default, str) else strict_yaml.scalar(words)
    if has_entries and words[0].startswith("{"):
        return strict_yaml.parse_yaml(" ".join(words), name)
    if has_entries and any("=" in word for word in words):
        return _parsed_entries(words, name, numbers=isinstance(default, dict))
    text = ",".join(words)
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    parts = [part.strip() for part in text.split(",")]
    parts = [part for part in parts if part]
    is_text = has_entries or not default or isinstance(default[0], str)
    return parts if is_text else [strict_yaml.scalar(part) for part in parts]


def _parsed_entries(words, name, numbers):
    """Parse ``l1=1.0 mse=0.3`` or ``vocals=lead,backing drums`` into a mapping."""
    mapping = {}
    for word in words:
        key = None
        for part in filter(None, word.split(",")):
            if key is None or "=" in part:
                key, has_value, value = part.partition("=")
                if key in mapping:
                    raise InputError(f"{name}: {key} is given twice")
                default = "1" if numbers else key
                mapping[key] = [value if has_value else default]
            else:
                mapping[key].append(part)
    if numbers:
        return {key: strict_yaml.scalar(",".join(values)) for key, values in mapping.items()}
    return mapping


def _flatten(path, conf, sections):
    """Flatten a user's file, checking section and name of every key."""
    flat = {}
    for title, section in conf.items():
        if title not in sections:
            raise InputError(f"{path}: unknown section {title[:60]!r}{_meant(title, sections)}")
        for key, value in section.items():
            if key not in sections[title] and title not in MOVED.get(key, ()):
                raise InputError(
                    f"{path}: unknown key {key[:60]!r} in section {title!r}"
                    f"{_meant(key, sections[title])}"
                )
            flat[key] = value
    return flat


def _shown(value):
    """A default as the command line takes it."""
    if isinstance(value, dict):
        value = [f"{key}={number}" for key, number in value.items()]
    if isinstance(value, list):
        return " ".join(map(str, value)) or "[]"
    return str(value).lower() or '""'


def _type_name(default):
    if isinstance(default, dict):
        return "name=number ..."
    if isinstance(default, list):
        return f"{_type_name(default[0] if default else '')}s"
    return {bool: "true or false", int: "integer", float: "number", str: "text"}[type(default)]


def _refuse(message, known):
    unknown = re.match(r"unrecognized arguments: (\S+)", message)
    if unknown:
        raise InputError(f"unknown option {unknown[1]}{_meant(unknown[1], known)}; see --help")
    raise InputError(f"{message}; see --help")


def _meant(word, known):
    close = difflib.get_close_matches(word[:60], known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
