"""Exceptions that commands turn into a line without a traceback."""

import unicodedata

# Control and format characters, bytes that are not UTF-8 (surrogates), and line separators.
UNSAFE = ("Cc", "Cf", "Cs", "Zl", "Zp")


def one_line(text):
    """Make text one line that is safe to print, whatever file names it holds.

    Args:
        text (object): converted with `str`.

    Returns:
        str: the text with the characters of UNSAFE escaped.
    """
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in UNSAFE else char
        for char in str(text)
    )


class InputError(ValueError):
    """An option, a file or a folder from the user cannot be used.

    The message is one line that names the argument or file, the value found and the remedy.
    Commands print it and exit with status 1; in Python it is a `ValueError`.
    """

    def __init__(self, message):
        super().__init__(one_line(message))


class SampleRateError(InputError, RuntimeError):
    """A file's sample rate is not the model's; Asteroid raises a `RuntimeError` for it."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised by the signal handler of commands.

    It is a `KeyboardInterrupt`, so that whatever cleans up after Ctrl-C cleans up after it too.
    """


class TimeLimit(KeyboardInterrupt):
    """SIGUSR1 or SIGUSR2, which SLURM sends some time before a job must end.

    Args:
        signum (int): the signal.
    """

    def __init__(self, signum):
        super().__init__()
        self.signum = signum
