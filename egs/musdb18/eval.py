"""Stage 2: separate the test songs and score them."""

import argparse
import sys
from pathlib import Path

from asteroid_tfswa_cli import importing, run_command

RECIPE = Path(__file__).resolve().parent


def main():
    """Evaluate `best_model.pth` of a training run."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data_dir", required=True, help="prepared songs, of stage 0")
    parser.add_argument("--exp_dir", required=True, help="folder of the training run, of stage 1")
    parser.add_argument(
        "--id", default="", help='GPU, "0", or cpu (default: first GPU, or the CPU)'
    )
    with importing():
        from asteroid_tfswa.config import parse_command
    args, conf = parse_command(parser, RECIPE / "local/conf.yml")

    with importing():
        from asteroid_tfswa.data.songs import read_prepared
        from asteroid_tfswa.errors import one_line
    data = read_prepared(args.data_dir)
    with importing():  # slow: not before the data was found
        from asteroid_tfswa.scores.evaluate import evaluate
    separation = conf["separation"]
    table, failed = evaluate(
        Path(args.exp_dir),
        data,
        device=args.id,
        segment=separation["sep_segment"],
        overlap=separation["sep_overlap"],
        batch_size=separation["sep_batch_size"],
        scorer=separation["scorer"],
        n_jobs=separation["score_jobs"],
    )
    print(table)
    if failed:
        songs = "song has" if len(failed) == 1 else "songs have"
        lines = [f"error: {len(failed)} {songs} no scores:", *map(one_line, failed)]
        print(*lines, sep="\n  ", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run_command(main)
