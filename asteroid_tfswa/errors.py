"""Exceptions that commands turn into a line without a traceback."""


class InputError(ValueError):
    """Something the user gave cannot be used: an option, a file, a folder.

    The message is one line that names the argument or file, the value found and the remedy.
    Commands print it and exit with status 1; in Python it is a `ValueError`.
    """


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised by the handler that commands install: everything that cleans up after Ctrl-C
    cleans up after it too."""
