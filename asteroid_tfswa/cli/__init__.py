"""The commands of ``asteroid-tfswa``, one module each; `asteroid_tfswa_cli` runs them.

Such a module has a docstring that says what the command does, ``add_arguments(parser)`` and
``run(args)``.
"""

from asteroid_tfswa_cli import COMMANDS, main

__all__ = ["COMMANDS", "main"]
