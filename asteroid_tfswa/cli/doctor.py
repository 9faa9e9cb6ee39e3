"""Tell what works on this machine and what does not, with the remedy.

The exit status is 0 if separation and training can work.
"""

import sys

from asteroid_tfswa.doctor import diagnose


def add_arguments(parser):
    """The command has no arguments."""


def run(args):
    """Print a line for each check as soon as it is done."""
    broken = []
    for check in diagnose():
        print(check, flush=True)
        if check.needed and not check.ok:
            broken.append(check.name)
    if broken:
        print(f"Separation and training cannot work yet: see {', '.join(broken)} above.")
        sys.exit(1)
    print("Separation and training can work.")
