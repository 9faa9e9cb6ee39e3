"""Print the warnings of a command as single lines."""

import contextlib
import sys
import warnings

from tqdm import tqdm

from asteroid_tfswa.errors import one_line


@contextlib.contextmanager
def warnings_in_lines():
    """Show warnings as one line each, beside progress bars, without the place in the code."""

    def show(message, *args, **kwargs):
        tqdm.write(f"warning: {one_line(message)}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
