"""Read the YAML of configurations: words, numbers, lists and mappings, nothing else.

PyYAML reads YAML 1.1, in which ``1e-3`` is text, ``1:30`` is 90, ``no`` is false and ``010`` is 8.
Here plain scalars mean what they do in YAML 1.2. Anchors, tags and deep nesting are refused, so
that the size of the file bounds memory and time.
"""

import re
from pathlib import Path

import yaml

from asteroid_tfswa.errors import InputError

MAX_BYTES = 1_000_000
MAX_DEPTH = 8
CONSTANTS = {"": None, "~": None, "null": None, "true": True, "false": False}
INTEGER = re.compile(r"[-+]?[0-9]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
SPECIAL = re.compile(r"[-+]?\.inf|\.nan", re.IGNORECASE)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # `scalar` resolves them
    depth = 0

    def compose_node(self, parent, index):
        event = self.peek_event()
        for feature in ("anchor", "tag"):  # an alias has an anchor too
            if getattr(event, feature, None) is not None:
                raise _error(f"{feature}s are not supported", event.start_mark)
        if self.depth == MAX_DEPTH:
            raise _error("nested too deeply", event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def read_yaml(path):
    """Read a YAML file.

    Args:
        path (str or Path): the file.

    Returns:
        dict, list, str, int, float, bool or None: its content; keys are text.

    Raises:
        InputError: if the file cannot be read, is larger than 1 MB or is not such YAML.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as err:
        raise InputError(f"{path} cannot be read: {err.strerror}") from err
    except ValueError as err:  # a NUL byte in the name
        raise InputError(f"{str(path)!r} cannot be read: {err}") from err
    if len(content) > MAX_BYTES:
        raise InputError(f"{path} is not a configuration: it is larger than {MAX_BYTES} bytes")
    try:
        return parse_yaml(content.decode("utf-8"), path)
    except UnicodeDecodeError as err:
        raise InputError(f"{path} is not YAML: {' '.join(str(err).split())}") from err


def parse_yaml(text, title):
    """Parse YAML.

    Args:
        text (str): the YAML.
        title (str or Path): where it comes from, for messages.

    Returns:
        dict, list, str, int, float, bool or None: its content; keys are text.

    Raises:
        InputError: if it is not such YAML.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return None if node is None else _content(node)
    except yaml.MarkedYAMLError as err:
        line = f"line {err.problem_mark.line + 1}: " if err.problem_mark else ""
        raise InputError(f"{title} is not YAML: {line}{err.problem or err.context}") from err
    except yaml.YAMLError as err:
        raise InputError(f"{title} is not YAML: {' '.join(str(err).split())}") from err


def scalar(text):
    """Read a plain scalar.

    Args:
        text (str): without quotes.

    Returns:
        int, float, bool, None or str: what it means in YAML 1.2.
    """
    if text.lower() in CONSTANTS:
        return CONSTANTS[text.lower()]
    if INTEGER.fullmatch(text) and len(text) <= 4000:  # Python's own limit is 4300 digits
        return int(text)
    if FLOAT.fullmatch(text):
        return float(text)
    if SPECIAL.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def _content(node):
    if isinstance(node, yaml.ScalarNode):
        return scalar(node.value) if node.style is None else node.value
    if isinstance(node, yaml.SequenceNode):
        return [_content(entry) for entry in node.value]
    content = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _error("a key must be one word", key.start_mark)
        if key.value in content:
            raise _error(f"the key {key.value} is given twice", key.start_mark)
        content[key.value] = _content(value)
    return content


def _error(problem, mark):
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
