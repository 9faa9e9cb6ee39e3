"""Stage 0: bring a data set, or the built-in songs, into the layout that training reads."""

import argparse
from pathlib import Path

from asteroid_tfswa_cli import importing, run_command

RECIPE = Path(__file__).resolve().parents[1]


def main():
    """Find or make the songs, then prepare them."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--musdb18_dir", default="", help="folder with train/ and test/")
    parser.add_argument("--download", default="", help="musdb18hq, musdb18 or sample")
    parser.add_argument("--data_dir", required=True, help="where the prepared songs go")
    with importing():
        from asteroid_tfswa.config import parse_command
    args, conf = parse_command(parser, RECIPE / "local/conf.yml")
    with importing():
        from asteroid_tfswa.builtin_songs import make_builtin_songs
        from asteroid_tfswa.data.download import download
        from asteroid_tfswa.data.musdb18 import LICENSE
        from asteroid_tfswa.data.prepare import prepare

    if conf["optim"]["init_from"]:  # rather than miss it after hours
        with importing():
            from asteroid_tfswa.models.loading import find_model_file
        find_model_file(conf["optim"]["init_from"])
    name = license = None  # known by the songs themselves, where they are MUSDB18
    if args.download:
        name, license = args.download, LICENSE
        source_dir = download(args.download, RECIPE / "data/downloads")
    elif args.musdb18_dir:
        source_dir = args.musdb18_dir
    else:
        name, license = "builtin", "synthetic; played with the sound font TimGM6mb (GPL 2)"
        source_dir = make_builtin_songs(RECIPE / "data/builtin_songs")
    data = prepare(
        source_dir,
        args.data_dir,
        sources=conf["data"]["sources"],
        valid_share=conf["data"]["valid_share"],
        seed=conf["data"]["split_seed"],
        sample_rate=conf["data"]["sample_rate"],
        mixture=conf["data"]["mixture"],
        missing_stems=conf["data"]["missing_stems"],
        tolerance=conf["data"]["tolerance"],
        name=name,
        license=license,
    )
    counts = ", ".join(f"{len(songs)} {split}" for split, songs in data.splits.items())
    print(f"{data.name}: {counts} songs. {data.validation}")
    for note in data.notes:
        print(f"note: {note}")


if __name__ == "__main__":
    run_command(main)
