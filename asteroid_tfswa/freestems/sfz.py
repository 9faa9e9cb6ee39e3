"""Read instruments in SFZ format: which recorded note sounds at which key and velocity."""

import re
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from asteroid_tfswa.errors import InputError

HEADER = re.compile(r"<(\w+)>")
OPCODE = re.compile(r"(\w+)=(.*?)(?=\s+\w+=|$)")
NESTING = ("control", "global", "master", "group", "region")  # each inherits from those before
NAMES = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
DEEPEST = 8  # levels of #include


class Region(NamedTuple):
    """A recorded note: its file, MIDI number, and the lowest velocity at which it sounds."""

    path: Path
    pitch: int
    velocity: int


def read_sfz(path, samples=None):
    """Read the notes of an instrument, without those of releases and of slurs.

    Args:
        path (Path): an .sfz file.
        samples (Path, optional): the folder that the names of samples start from. Default: the
            folder of the file.

    Returns:
        list[Region]: in the order of the file, each file once.

    Raises:
        InputError: the file or one that it includes is missing, or there are no notes.
    """
    inherited, regions = {name: {} for name in NESTING}, {}
    level = "global"
    for line in _lines(path, path.parent, {}, 0):
        parts = HEADER.split(line)
        for index, text in enumerate(parts):
            if index % 2:  # a header: all below it begins again
                _close(samples or path.parent, level, inherited, regions)
                level = text if text in NESTING else "ignored"
                for name in NESTING[NESTING.index(level) :] if level in NESTING else ():
                    inherited[name] = {}
            else:
                opcodes = inherited.get(level, {})
                opcodes.update((key, value.strip()) for key, value in OPCODE.findall(text))
    _close(samples or path.parent, level, inherited, regions)
    if not regions:
        raise InputError(f"{path}: has no notes")
    return list(regions.values())


def _close(samples, level, inherited, regions):
    """Add the region that ends here."""
    if level != "region":
        return
    opcodes = {key: value for name in NESTING for key, value in inherited[name].items()}
    key = opcodes.get("pitch_keycenter") or opcodes.get("key")
    if "sample" not in opcodes or key is None:
        return
    if opcodes.get("trigger", "attack") != "attack":
        return
    name = opcodes.get("default_path", "") + opcodes["sample"]
    file = samples.joinpath(*PureWindowsPath(name).parts)
    regions.setdefault(file, Region(file, _number(key), int(opcodes.get("lovel", 1))))


def _number(key):
    """The MIDI number of a key, which is one, or a name such as c#4."""
    if key.isdigit():
        return int(key)
    found = re.fullmatch(r"([a-gA-G])([#b]?)(-?\d)", key)
    if not found:
        raise InputError(f"{key!r} is no key of an SFZ file")
    step = {"#": 1, "b": -1, "": 0}[found[2]]
    return NAMES[found[1].lower()] + step + 12 * (int(found[3]) + 1)


def _lines(path, root, defined, depth):
    """The lines of a file and of those that it includes, with what it defines filled in."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise InputError(f"{path}: is missing; download the sources again") from None
    for line in text.splitlines():
        line = line.split("//")[0].strip()
        definition = re.match(r"#define\s+(\$\w+)\s+(\S+)", line)
        if definition:
            defined[definition[1]] = definition[2]
            continue
        for name in sorted(defined, key=len, reverse=True):
            line = line.replace(name, defined[name])
        included = re.match(r'#include\s+"([^"]+)"', line)
        if included:
            if depth == DEEPEST:
                raise InputError(f"{path}: includes files more than {DEEPEST} deep")
            inner = root.joinpath(*PureWindowsPath(included[1]).parts)
            yield from _lines(inner, root, defined, depth + 1)
            continue
        yield line
