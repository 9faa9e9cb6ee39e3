"""Check arguments before anything is allocated; messages give name, allowed range and value."""

import numbers
import reprlib

import numpy as np

from asteroid_tfswa.errors import InputError

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60
_short.maxlist = _short.maxtuple = 12
_short.maxlevel = 3  # nested lists can unfold without end


def integer(name, value, most, least=1):
    """Check that an argument is an integer within a range.

    Args:
        name (str): the argument's name.
        value: the value given.
        most (int): the largest value allowed.
        least (int): the smallest value allowed. Default 1.

    Returns:
        int: `value`, a plain one.

    Raises:
        InputError: if it is anything else.
    """
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_integer or not least <= value <= most:
        raise refusal(name, f"an integer from {least} to {most}", value)
    return int(value)  # NumPy's too


def integers(name, value, most, lengths):
    """Check that an argument is a list of integers of at least 1.

    Args:
        name (str): the argument's name.
        value (int or sequence of int): one number, or a list of one, is repeated.
        most (int): the largest number allowed.
        lengths (int or (int, int)): how many numbers are needed, or the fewest and the most.

    Returns:
        list of int: as many as needed.

    Raises:
        InputError: if it is anything else.
    """
    shortest, longest = lengths if isinstance(lengths, tuple) else (lengths, lengths)
    values = list(value) if isinstance(value, (list, tuple, np.ndarray)) else [value]
    if len(values) == 1:
        values = values * shortest
    if not shortest <= len(values) <= longest:
        count = longest if shortest == longest else f"{shortest} to {longest}"
        raise refusal(name, f"one number or a list of {count}", value)
    return [integer(name, v, most) for v in values]


def number(name, value, above, most):
    """Check that an argument is a number within a range.

    Args:
        name (str): the argument's name.
        value: the value given.
        above (float): the number must be greater than this.
        most (float): the largest value allowed.

    Returns:
        float: `value`.

    Raises:
        InputError: if it is anything else, NaN included.
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not above < value <= most:
        raise refusal(name, f"a number above {above:g} and at most {most:,.12g}", value)
    return float(value)


def choice(name, value, choices):
    """Check that an argument is one of a few values.

    Args:
        name (str): the argument's name.
        value: the value given.
        choices (sequence): the values allowed.

    Returns:
        `value`.

    Raises:
        InputError: if it is anything else; types must match, so that True is not 1.
    """
    if not any(type(value) is type(c) and value == c for c in choices):
        raise refusal(name, " or ".join(map(repr, choices)), value)
    return value


def check_shape(wav, in_channels):
    """Check that a model accepts a tensor of this shape as mixtures, see `MusicModel.forward`.

    Args:
        wav (torch.Tensor): the tensor.
        in_channels (int): audio channels of the model.

    Raises:
        InputError: if it does not.
    """
    shape, mono = tuple(wav.shape), in_channels == 1
    chan = shape[-2] if len(shape) == 3 or (len(shape) == 2 and not mono) else 1
    if not 1 <= len(shape) <= 3 or chan not in (1, in_channels) or 0 in shape:
        forms = "(time), (batch, time) or (batch, 1, time)"
        if not mono:
            forms = f"(time), (chan, time) or (batch, chan, time) with {in_channels} or 1 channels"
        raise InputError(f"wav must be {forms} and at least 1 sample long: got shape {shape}")


def refusal(name, wanted, value):
    """Make the error for an argument.

    Args:
        name (str): the argument's name.
        wanted (str): what it must be.
        value: the value given, abbreviated in the message.

    Returns:
        InputError: "<name> must be <wanted>: got <value>".
    """
    try:
        shown = _short.repr(value)
    except ValueError:  # an integer of more than 4300 digits
        shown = f"a huge {type(value).__name__}"
    return InputError(f"{name} must be {wanted}: got {shown}")


def is_file_name(name):
    """Whether a source's name is a valid file name on any system and safe to print (bool)."""
    return (
        0 < len(name) <= 60
        and name.isprintable()  # letters of any language, but no control characters
        and not set(name) & set('/\\:*?"<>|{}')
        and name[0] not in ".- "
        and name[-1] not in ". "
    )
