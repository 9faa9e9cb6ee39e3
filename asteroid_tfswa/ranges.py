"""The values that a key of a configuration may have, in brackets at the end of its comment.

    [1..64]             an integer, or a number, from 1 to 64
    [>0..1]             a number above 0 and at most 1
    [gain_min..100]     from the value of another key to 100
    [l1, mse]           one of these words
    [1..8192; 1..10]    a list of 1 to 10 such numbers
    [names; 1..100]     a list of 1 to 100 different file names

The default is checked too, and gives the type.
"""

import re
import sys
from typing import NamedTuple

from asteroid_tfswa.arguments import is_file_name, refusal
from asteroid_tfswa.strict_yaml import scalar

BRACKET = re.compile(r"\[(?P<values>[^\[\];]+)(; *(?P<count>[^\[\];]+))?\]$")
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
    """

    kind: type
    low: str = ""
    high: str = ""
    above: bool = False
    choices: tuple = ()
    names: bool = False
    count: tuple = None

    def check(self, name, value, others):
        """Check a value.

        Args:
            name (str): what to call it in the message.
            value: the value given; one value can stand for a list of it.
            others (dict): values of all keys, for ends that are keys; those were checked before.

        Returns:
            the value, of the key's type.

        Raises:
            InputError: if it is not allowed: "<name> must be <range>: got <value>".
        """
        if self.count is None:
            if self._allows(value, others):
                return self.kind(value)
        else:
            values = value if isinstance(value, list) else [value]
            different = not self.names or len(set(map(str, values))) == len(values)
            fits = self.count[0] <= len(values) <= self.count[1] and different
            if fits and all(self._allows(v, others) for v in values):
                return [self.kind(v) for v in values]
        raise refusal(name, self._words(others), value)

    def _words(self, others):
        low, high = (
            f"{end} ({others[end]})" if end in others else end for end in (self.low, self.high)
        )
        words = KINDS[self.kind]
        if self.names:
            words = "a different name that a file can have"
        elif self.choices:
            words = " or ".join(self.choices)
        elif self.low:
            words += f" above {low} and at most {high}" if self.above else f" from {low} to {high}"
        if self.count is None:
            return words
        return f"{self.count[0]} to {self.count[1]} values, each {words}"

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
        Range: if the comment has none, every value of the default's type.
    """
    is_list = isinstance(default, list)
    kind = type(default[0] if is_list else default)
    found = BRACKET.search(comment)
    if not found:
        return Range(kind, count=(1, 1000) if is_list else None)
    fields = {}
    if found["count"]:
        fewest, most = found["count"].split("..")
        fields["count"] = (int(fewest), int(most))
    values = found["values"].strip()
    if values == "names":
        fields["names"] = True
    elif ".." in values:
        low, high = values.split("..")
        fields |= {"low": low.removeprefix(">"), "high": high, "above": low.startswith(">")}
    else:
        fields["choices"] = tuple(word.strip() for word in values.split(","))
    return Range(kind, **fields)
