"""Stage 3: write a page on which the test songs are heard, beside scores and training curves."""

import argparse
import sys
from pathlib import Path

from asteroid_tfswa_cli import importing, run_command

RECIPE = Path(__file__).resolve().parent


def main():
    """Write the page of a run that stage 2 has scored."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data_dir", required=True, help="prepared songs, of stage 0")
    parser.add_argument("--exp_dir", required=True, help="folder of the training run, of stage 1")
    with importing():
        from asteroid_tfswa.config import parse_command
    args, conf = parse_command(parser, RECIPE / "local/conf.yml")

    with importing():
        from asteroid_tfswa.data.songs import read_prepared
        from asteroid_tfswa.errors import one_line
        from asteroid_tfswa.scores.report import write_report
    page, missing = write_report(
        Path(args.exp_dir), read_prepared(args.data_dir), conf["separation"]["page_megabytes"]
    )
    print(f"Page: {page}")
    for line in missing:
        print(f"not on it: {one_line(line)}", file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
