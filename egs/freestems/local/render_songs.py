"""Stage 0, first part: render songs, and link other songs beside them."""

import argparse
from pathlib import Path

from asteroid_tfswa_cli import importing, run_command


def main():
    """Render the songs that do not exist yet."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--sources_dir", default="", help="sounds with their index.tsv")
    parser.add_argument("--more_sources", default="", help="optional archives to download")
    parser.add_argument("--render_dir", required=True, help="where the songs go")
    parser.add_argument("--songs_dir", default="", help="other songs: train/, valid/, test/")
    parser.add_argument("--n_train", type=int, default=600, help="songs to train on")
    parser.add_argument("--n_test", type=int, help="songs to test on")
    parser.add_argument("--seconds", type=float, default=45.0, help="length of a song")
    parser.add_argument("--song_seed", type=int, default=0, help="series of songs")
    args = parser.parse_args()
    with importing():
        from asteroid_tfswa.data.freestems.archives import download_sources
        from asteroid_tfswa.data.freestems.link import link_songs
        from asteroid_tfswa.data.freestems.songs import make_songs

    sources = args.sources_dir
    if not sources:
        optional = args.more_sources.split(",") if args.more_sources else ()
        sources = download_sources(Path(args.render_dir) / "sources", optional)
    tests = bool(args.songs_dir) and (Path(args.songs_dir) / "test").is_dir()
    n_test = args.n_test if args.n_test is not None else (0 if tests else 10)
    rendered = make_songs(
        sources,
        Path(args.render_dir) / "rendered",
        args.n_train,
        n_test,
        seconds=args.seconds,
        seed=args.song_seed,
    )
    songs = {"train": args.n_train, "test": n_test}
    link_songs(Path(args.render_dir) / "songs", rendered, songs, args.songs_dir or None)


if __name__ == "__main__":
    run_command(main)
