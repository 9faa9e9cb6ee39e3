"""Stage 0, first part: render songs, and link other songs beside them."""

import argparse
from pathlib import Path

from asteroid_tfswa_cli import importing, run_command

MUSDB18 = Path(__file__).resolve().parents[2] / "musdb18"


def main():
    """Render the songs that do not exist yet."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--sources_dir", default="", help="sounds with their index.tsv")
    parser.add_argument("--more_sources", default="", help="optional archives to download")
    parser.add_argument("--render_dir", type=Path, required=True, help="where the songs go")
    parser.add_argument("--songs_dir", default="", help="other songs: train/, valid/, test/")
    parser.add_argument("--n_train", type=int, default=600, help="songs to train on")
    parser.add_argument("--n_test", type=int, help="songs to test on")
    parser.add_argument("--seconds", type=float, default=45.0, help="length of a song")
    parser.add_argument("--song_seed", type=int, default=0, help="series of songs")
    with importing():
        from asteroid_tfswa.config import parse_command
    # The configuration is for later stages, and checked here as they would refuse it after hours.
    args, conf = parse_command(parser, MUSDB18 / "local/conf.yml")
    with importing():
        from asteroid_tfswa.errors import InputError
        from asteroid_tfswa.freestems.archives import download_sources
        from asteroid_tfswa.freestems.link import link_songs, plan_links
        from asteroid_tfswa.freestems.songs import make_songs, name_songs
        from asteroid_tfswa.models.loading import find_model_file

    if args.sources_dir and args.more_sources:
        raise InputError(
            f"--more_sources {args.more_sources} adds to the download, which --sources_dir "
            "replaces; give one of them"
        )
    if conf["optim"]["init_from"]:
        find_model_file(conf["optim"]["init_from"])
    tests = bool(args.songs_dir) and (Path(args.songs_dir) / "test").is_dir()
    n_test = args.n_test if args.n_test is not None else (0 if tests else 10)
    songs = {"train": args.n_train, "test": n_test}
    rendered = args.render_dir / "rendered"
    linked = args.render_dir / "songs", rendered, songs, args.songs_dir or None
    name_songs(args.n_train, n_test, args.seconds, args.song_seed)  # these two only check
    plan_links(*linked)

    sources = args.sources_dir
    if not sources:
        optional = args.more_sources.split(",") if args.more_sources else ()
        sources = download_sources(args.render_dir / "sources", optional)
    make_songs(sources, rendered, args.n_train, n_test, seconds=args.seconds, seed=args.song_seed)
    link_songs(*linked)


if __name__ == "__main__":
    run_command(main)
