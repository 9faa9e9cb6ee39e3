"""The command ``asteroid-tfswa``: one module here for each of its commands.

Such a module has a docstring that says what the command does, ``add_arguments(parser)`` and
``run(args)``.
"""

import argparse
import importlib
import sys

import asteroid_tfswa
from asteroid_tfswa.config import run_command

COMMANDS = {
    "separate": "separate songs into their sources",
    "infer": "separate songs, with the arguments of asteroid-infer",
    "info": "tell what a model is: sources, network, training data, licence, scores",
    "export": "write a model at half the size, or for TorchScript, torch.export or ONNX",
    "doctor": "tell what works on this machine and what does not, with the remedy",
}


def main(argv=None):
    """Run a command: user errors end in one line and status 1, Ctrl-C in status 130.

    Args:
        argv (list of str, optional): its name and arguments. Defaults to those of the process.
    """
    argv = sys.argv[1:] if argv is None else argv
    run_command(lambda: _run(argv))


def _run(argv):
    parser = argparse.ArgumentParser(
        prog="asteroid-tfswa", description="Music source separation.", allow_abbrev=False
    )
    version = f"asteroid-tfswa {asteroid_tfswa.__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, allow_abbrev=False)
        if argv[:1] == [name]:  # the others need not be imported
            module = importlib.import_module(f"asteroid_tfswa.cli.{name}")
            command.description = module.__doc__
            command.formatter_class = argparse.RawDescriptionHelpFormatter
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    args = parser.parse_args(argv)
    args.run(args)
