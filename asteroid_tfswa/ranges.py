"""The values that a key of a configuration may have, in brackets at the end of its comment.

    [1..64]             an integer, or a number, from 1 to 64
    [>0..1]             a number above 0 and at most 1
    [gain_min..100]     from the value of another key to 100
    [l1, mse]           one of these words
    [1..8192; 1..10]    a list of 1 to 10 such numbers
    [text]              any text
    [names; 1..100]     a list of 1 to 100 different file names
    [l1, mse: 0..9; 1..3]    1 to 3 of these words, each with a number; a word alone counts as 1
    [names: names; 1..100]   such a list, or a mapping of each name to a list of names

The default is checked too, and gives the type.
"""

import re
import sys
from typing import NamedTuple

from asteroid_tfswa.arguments import is_file_name, refusal
from asteroid_tfswa.strict_yaml import scalar

BRACKET = re.compile(
    r"\[((?P<entries>[^\[\];:]+): *)?(?P<values>[^\[\];:]+)(; *(?P<count>[^\[\];]+))?\]$"
)
FEW = 9  # choices with "or" between all of them
KINDS = {bool: "true or false", int: "an integer", float: "a number", str: "text"}


class Range(NamedTuple):
    """The values of a key.

    Attributes:
        kind (type): bool, int, float or str: type of the value, or of each value of a list.
        low, high (str): ends of the range, numbers or names of keys; "" without a range.
        above (bool): the lower end is not in the range.
        choices (tuple of str): the words allowed; empty for any.
        names (bool): the values are different names that files can have.
        count (tuple of int): fewest and most values of a list; None for a single value.
        entries (Range): of the names in a mapping; None if the value is not one.
    """

    kind: type
    low: str = ""
    high: str = ""
    above: bool = False
    choices: tuple = ()
    names: bool = False
    count: tuple = None
    entries: NamedTuple = None

    def check(self, name, value, others):
        """Check a value.

        Args:
            name (str): what to call it in the message.
            value: the value given; one value can stand for a list of it, and names alone for a
                mapping of each to 1.
            others (dict): values of all keys, for ends that are keys; those were checked before.

        Returns:
            the value, of the key's type.

        Raises:
            InputError: if it is not allowed: "<name> must be <range>: got <value>".
        """
        checked = self._read(value, others)
        if checked is None:
            raise refusal(name, self._words(others), value)
        return checked

    def _read(self, value, others):
        """The value in the form that a configuration has; None if it is not allowed."""
        if self.count is None:
            return self.kind(value) if self._allows(value, others) else None
        if self.entries is not None and isinstance(value, dict):
            return self._read_mapping(value, others)
        if self.entries is not None and not self.names:  # names alone
            names = self.entries._read(value, others)
            return names and self._read(dict.fromkeys(names, 1), others)
        values = value if isinstance(value, list) else [value]
        different = self.kind is not str or len(set(map(str, values))) == len(values)
        fits = self.count[0] <= len(values) <= self.count[1] and different
        if fits and all(self._allows(v, others) for v in values):
            return [self.kind(v) for v in values]
        return None

    def _read_mapping(self, mapping, others):
        keys = self.entries._read(list(mapping), others)
        each = self._replace(entries=None, count=self.count if self.names else None)
        values = [each._read(value, others) for value in mapping.values()]
        return None if keys is None or None in values else dict(zip(keys, values))

    def _words(self, others):
        if self.entries is not None and self.names:
            return f"{self._replace(entries=None)._words(others)}, or a mapping to such lists"
        if self.entries is not None:
            number = self._replace(entries=None, count=None)._words(others)
            fewest, most = self.count
            return f"{fewest} to {most} of {self.entries._word_list()}, each with {number}"
        low, high = (
            f"{end} ({others[end]})" if end in others else end for end in (self.low, self.high)
        )
        words = KINDS[self.kind]
        if self.names:
            words = "a different name that a file can have"
        elif self.choices:
            words = self._word_list()
        elif self.low:
            words += f" above {low} and at most {high}" if self.above else f" from {low} to {high}"
        if self.count is None:
            return words
        return f"{self.count[0]} to {self.count[1]} values, each {words}"

    def _word_list(self):
        return (" or " if len(self.choices) <= FEW else ", ").join(self.choices)

    def _allows(self, value, others):
        if self.kind is float:
            fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        else:
            fits = type(value) is self.kind
        if not fits:
            return False
        if self.names:
            return is_file_name(value)
        if self.choices:
            return value in self.choices
        if not self.low:
            return self.kind is not float or abs(value) <= sys.float_info.max
        low, high = (others.get(end, scalar(end)) for end in (self.low, self.high))
        return low <= value <= high and not (self.above and value == low)


def parse_range(comment, default):
    """Read the range in a key's comment.

    Args:
        comment (str): the comment.
        default: the key's default, which gives the type.

    Returns:
        Range: if the comment has none, every value of the default's type. A mapping needs one.
    """
    is_list, found = isinstance(default, list), BRACKET.search(comment)
    kind = {list: str, dict: float}.get(type(default), type(default))
    if is_list and default:
        kind = type(default[0])
    if not found:
        return Range(kind, count=(1, 1000) if is_list else None)
    count = entries = None
    if found["count"]:
        fewest, most = found["count"].split("..")
        count = (int(fewest), int(most))
    if found["entries"]:
        entries = Range(str, count=count, **_parse_values(found["entries"]))
    return Range(kind, count=count, entries=entries, **_parse_values(found["values"]))


def _parse_values(text):
    """Fields of a `Range` from the text of one."""
    text = text.strip()
    if text in ("names", "text"):
        return {"names": text == "names"}
    if ".." in text:
        low, high = text.split("..")
        return {"low": low.removeprefix(">"), "high": high, "above": low.startswith(">")}
    return {"choices": tuple(word.strip() for word in text.split(","))}
