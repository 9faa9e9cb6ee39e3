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


def parse_command(parser, base, argv=None):
    """Parse a command with the options of `parser`, ``--conf`` and every key of `base`.

    Args:
        parser (argparse.ArgumentParser): with the command's own options.
        base (str or Path): the YAML file that has all keys, in sections.
        argv (list of str, optional): the arguments. Defaults to those of the process.

    Returns:
        tuple[argparse.Namespace, dict]: the command's own options, and the configuration as
        ``{section: {key: value}}`` of plain types: `base`, changed by the file of ``--conf``,
        changed by options.

    Raises:
        InputError: for a file that cannot be read, an unknown key or option, or a value of the
            wrong type or out of its range.
    """
    sections = read_yaml(base)
    defaults = {key: value for section in sections.values() for key, value in section.items()}
    comments = dict(re.findall(r"(?m)^  (\w+):.*?  # (.*)$", Path(base).read_text("utf-8")))
    parser.add_argument("--conf", help="YAML file with the keys to change", metavar="FILE")
    for title, section in sections.items():
        group = parser.add_argument_group(f"{title} (keys of {Path(base).name})")
        for key, value in section.items():
            shown = " ".join(map(str, value)) if isinstance(value, list) else str(value).lower()
            group.add_argument(
                f"--{key}",
                nargs="+" if isinstance(value, list) else None,
                default=argparse.SUPPRESS,
                metavar=_type_name(value).upper(),
                help=f"{comments.get(key, '')} (default: {shown or 'none'})".replace("%", "%%"),
            )
    known = [action.option_strings[-1] for action in parser._actions]
    parser.error = lambda message: _refuse(message, known)
    args = parser.parse_args(argv)

    changes, names = {}, {}  # of the keys that are changed: value, and what messages call it
    if args.conf:
        changes = _flatten(args.conf, read_yaml(args.conf), sections)
        names = {key: f"{args.conf}: {key}" for key in changes}
    for key, default in defaults.items():
        if hasattr(args, key):
            changes[key] = _parsed(getattr(args, key), default)
            names[key] = f"--{key}"
            delattr(args, key)
    merged = {**defaults, **changes}
    checked = {
        key: parse_range(comments.get(key, ""), defaults[key]).check(
            names.get(key, key), value, merged
        )
        for key, value in merged.items()
    }
    return args, {
        title: {key: checked[key] for key in section} for title, section in sections.items()
    }


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


def _parsed(words, default):
    """Parse words of the command line as in the YAML file, ``[a, b]`` included."""
    if not isinstance(default, list):
        return words if isinstance(default, str) else strict_yaml.scalar(words)
    parts = [part.strip() for word in words for part in word.strip("[]").split(",")]
    parts = [part for part in parts if part]
    return parts if isinstance(default[0], str) else [strict_yaml.scalar(part) for part in parts]


def _flatten(path, conf, sections):
    """Flatten a user's file, checking section and name of every key."""
    flat = {}
    for title, section in conf.items():
        if title not in sections:
            raise InputError(f"{path}: unknown section {title[:60]!r}{_meant(title, sections)}")
        for key, value in section.items():
            if key not in sections[title]:
                raise InputError(
                    f"{path}: unknown key {key[:60]!r} in section {title!r}"
                    f"{_meant(key, sections[title])}"
                )
            flat[key] = value
    return flat


def _type_name(default):
    if isinstance(default, list):
        return f"{_type_name(default[0])}s"
    return {bool: "true or false", int: "integer", float: "number", str: "text"}[type(default)]


def _refuse(message, known):
    unknown = re.match(r"unrecognized arguments: (\S+)", message)
    if unknown:
        raise InputError(f"unknown option {unknown[1]}{_meant(unknown[1], known)}; see --help")
    raise InputError(f"{message}; see --help")


def _meant(word, known):
    close = difflib.get_close_matches(word[:60], known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
