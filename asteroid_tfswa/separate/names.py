"""Names: of songs, and of the files that their stems go to."""

from pathlib import Path

from asteroid_tfswa.errors import InputError


def stem_paths(path, output_dir, output, stems, ext):
    """Where the stems of a song go.

    Args:
        path (str or Path): the song.
        output_dir (str or Path): folder of all songs.
        output (str): name in it, with the fields ``{song}``: the song's name without suffix,
            ``{folder}``: the name of the folder that the song is in, ``{stem}`` and ``{ext}``.
        stems (list of str): names of the stems.
        ext (str): suffix of the format, without dot.

    Returns:
        list[Path]: one for each stem.

    Raises:
        InputError: if `output` has other fields, or names several stems alike, or like the song.
    """
    path = Path(path)
    name = path.name[: -len(".stem.mp4")] if path.name.lower().endswith(".stem.mp4") else path.stem
    fields = {"song": name, "folder": path.absolute().parent.name, "ext": ext}
    try:
        names = [output.format(stem=stem, **fields) for stem in stems]
    except (KeyError, IndexError, ValueError, AttributeError) as err:
        raise InputError(
            f"output: '{output}' must be a name with the fields {{song}}, {{folder}}, {{stem}} and "
            "{ext}"
        ) from err
    if len(set(names)) < len(names):
        raise InputError(f"output: '{output}' gives all stems one name; add {{stem}}")
    paths = [Path(output_dir, name) for name in names]
    for out in paths:
        if out.resolve() == path.resolve():
            raise InputError(f"{path}: the output would replace it; choose another output folder")
    return paths
