"""Exceptions that commands turn into a line without a traceback."""

import unicodedata

# Control and format characters, bytes that are no UTF-8 (surrogates), and separators of lines.
UNSAFE = ("Cc", "Cf", "Cs", "Zl", "Zp")


def one_line(text):
    """Make a line of text that harms no terminal, whatever names of files it holds.

    Args:
        text (object): the text; `str` is applied to it.

    Returns:
        str: with escapes in place of the characters that UNSAFE lists.
    """
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in UNSAFE else char
        for char in str(text)
    )


class InputError(ValueError):
    """Something the user gave cannot be used: an option, a file, a folder.

    The message is one line that names the argument or file, the value found and the remedy.
    Commands print it and exit with status 1; in Python it is a `ValueError`.
    """

    def __init__(self, message):
        super().__init__(one_line(message))


class SampleRateError(InputError, RuntimeError):
    """A file has another sample rate than the model; Asteroid raises a `RuntimeError` for it."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised by the handler that commands install: everything that cleans up after Ctrl-C
    cleans up after it too."""
