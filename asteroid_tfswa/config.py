"""Configurations: one YAML file, and every key of it on the command line by its own name.

The recipe's ``conf.yml`` is the one place that says which keys there are: the value of a key is its
default and its type, the comment behind it its help. Other files name only what they change.
"""

import argparse
import difflib
import re
from pathlib import Path

import yaml

from asteroid_tfswa.errors import InputError


class _Loader(yaml.SafeLoader):
    """Safe YAML in which 1e-3 is a number, as YAML 1.2 has it, and a key is given once."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key} is given twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def parse_command(parser, base, argv=None):
    """Parse a command whose options are those of `parser`, ``--conf`` and every key of `base`.

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
            wrong type.
    """
    sections = read_yaml(base)
    defaults = {key: value for section in sections.values() for key, value in section.items()}
    comments = dict(re.findall(r"(?m)^  (\w+):.*?  # (.*)$", Path(base).read_text()))
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

    changes = _flatten(args.conf, read_yaml(args.conf), sections) if args.conf else {}
    for key, default in defaults.items():
        if hasattr(args, key):
            changes[key] = _parsed(f"--{key}", getattr(args, key), default)
            delattr(args, key)
    conf = {
        title: {key: changes.get(key, value) for key, value in section.items()}
        for title, section in sections.items()
    }
    return args, conf


def read_yaml(path):
    """Read a YAML file of sections.

    Args:
        path (str or Path): the file.

    Returns:
        dict: ``{section: {key: value}}``.

    Raises:
        InputError: if the file is missing or is no YAML of that form.
    """
    try:
        conf = yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)
    except OSError as err:
        raise InputError(f"configuration {path} cannot be read: {err.strerror}") from err
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise InputError(f"configuration {path} is not YAML: {' '.join(str(err).split())}") from err
    if not isinstance(conf, dict) or not all(isinstance(s, dict) for s in conf.values()):
        raise InputError(f"configuration {path} must have sections with keys, like local/conf.yml")
    return conf


def _parsed(name, words, default):
    """Words of the command line, read as they would be in the YAML file."""
    text = f"[{', '.join(words)}]" if isinstance(words, list) else words
    try:
        value = yaml.load(text, _Loader) if text else ""
    except yaml.YAMLError:
        value = text
    return _checked(name, value, default, text)


def _flatten(path, conf, sections):
    """Keys of a user's file, each checked for the section, name and type it must have."""
    flat = {}
    for title, section in conf.items():
        if title not in sections:
            raise InputError(f"{path}: unknown section {title!r}{_meant(title, sections)}")
        for key, value in section.items():
            if key not in sections[title]:
                raise InputError(
                    f"{path}: unknown key {key!r} in section {title!r}"
                    f"{_meant(key, sections[title])}"
                )
            flat[key] = _checked(f"{path}: {key}", value, sections[title][key], value)
    return flat


def _checked(name, value, default, shown):
    """`value` as the type of `default`, or an InputError that names it."""
    if isinstance(default, list):
        values = value if isinstance(value, list) else [value]
        if values and all(_fits(v, default[0]) for v in values):
            return [type(default[0])(v) for v in values]
    elif isinstance(default, str) and isinstance(value, (int, float)):
        return str(shown).lower() if isinstance(value, bool) else str(shown)
    elif _fits(value, default):
        return type(default)(value)
    raise InputError(f"{name} must be {_type_name(default)}: got {shown!r}")


def _fits(value, default):
    if isinstance(default, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is type(default)


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
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
