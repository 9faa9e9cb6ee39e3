"""Name the files that stems are written to."""

import os
import string
from pathlib import Path

from asteroid_tfswa.audio.write import DEFAULT_BITS
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import require_file_name
from asteroid_tfswa.separate.find import AUDIO_NAME

OUTPUT = "{path}/{song}/{stem}.{ext}"
FIELDS = ("song", "stem", "ext", "ext_in", "folder", "path")


def stem_paths(path, output_dir, output, stems, ext, folder=".", taken=None):
    """Name the files for the stems of a song.

    Args:
        path (str or Path): the song.
        output_dir (str or Path): folder of all songs; the files never leave it.
        output (str): template of a name in it, with the fields ``{song}``: the song's name without
            suffix, ``{stem}``, ``{ext}``: the suffix of the format, ``{ext_in}``: that of the song,
            ``{folder}``: the name of the folder that the song is in, and ``{path}``: `folder`.
        stems (list of str): names of the stems.
        ext (str): suffix of the format, without dot.
        folder (str): the song's folder, relative to the input folder. Default ``"."``.
        taken (Path, optional): a folder for other things, in which no stem may lie.

    Returns:
        list[Path]: one for each stem.

    Raises:
        InputError: if the template is invalid, gives several stems one name or the name of the
            song, or the suffix of another format, or if a file cannot have that name or place.
    """
    check_template(output, stems, ext)
    path, output_dir = Path(path), Path(output_dir)
    fields = song_fields(path, folder)
    names = [output.format(stem=stem, ext=ext, **fields) for stem in stems]
    paths = [output_dir / name for name in names]
    top = os.path.abspath(output_dir)
    for out in paths:
        if not Path(os.path.abspath(out)).is_relative_to(top):
            raise InputError(f"{path}: its stem {out} would lie outside {output_dir}; rename it")
        if taken and Path(os.path.abspath(out)).is_relative_to(os.path.abspath(taken)):
            raise InputError(
                f"{path}: its stem {out} would lie in {taken}, which is for the page; choose "
                "another output name (--output)"
            )
        if os.path.realpath(out) == os.path.realpath(path):
            raise InputError(f"{path}: the output would replace it; choose another output folder")
        _check_suffix(f"{path}: its stem {out}", out.name, ext)
        try:
            require_file_name(out)
        except OSError as err:
            raise InputError(
                f"{path}: its stem cannot have the name {out} ({err.strerror}); choose another "
                "output name (--output)"
            ) from err
    return paths


def check_template(output, stems, ext):
    """Check that a template has only the plain fields of `stem_paths`, and stays in its folder.

    Nor may it end in the suffix of another format than that of the stems.

    Args:
        output (str): the template.
        stems (list of str): names of the stems.
        ext (str): suffix of the format, without dot.

    Raises:
        InputError: if it is anything else.
    """
    try:
        parts = list(string.Formatter().parse(output))
    except ValueError:
        parts = [("", "", "", None)]  # braces that do not match
    fields = [part[1:] for part in parts if part[1] is not None]
    if not all(
        name in FIELDS and (spec, conversion) == ("", None) for name, spec, conversion in fields
    ):
        known = ", ".join(f"{{{name}}}" for name in FIELDS)
        raise InputError(f"output: '{output}' must be a name with no fields but {known}")
    *folders, name = output.split("/")
    if name in ("", ".", "..") or "\0" in output:
        raise InputError(f"output: '{output}' must end with the name of a file")
    if len(stems) > 1 and "stem" not in {field for field, *_ in fields}:
        raise InputError(f"output: '{output}' gives all stems one name; add {{stem}}")
    if (folders and not folders[0]) or ".." in folders:
        raise InputError(
            f"output: '{output}' leads out of the output folder; choose that with output_dir "
            "(--output-dir)"
        )
    _check_suffix(f"output: '{output}'", name, ext)


def _check_suffix(what, name, ext):
    """Raise InputError if a name has the suffix of an audio format that is not `ext`."""
    suffix = os.path.splitext(name)[1][1:].lower()
    if AUDIO_NAME.fullmatch(name) and suffix != ext:
        other = f", or choose --format {suffix}" if suffix in DEFAULT_BITS else ""
        raise InputError(
            f"{what} ends in .{suffix}, but the format is {ext}; end the output name in .{{ext}}"
            f"{other}"
        )


def song_fields(path, folder="."):
    """Find the values of a template's fields that depend on the song.

    Args:
        path (Path): the song.
        folder (str): its folder, relative to the input folder. Default ``"."``.

    Returns:
        dict[str, str]: "song", "ext_in", "folder" and "path".
    """
    if path.name.lower().endswith(".stem.mp4"):
        song, suffix = path.name[: -len(".stem.mp4")], path.name[-len(".stem.mp4") :]
    else:
        song, suffix = os.path.splitext(path.name)
    if not song.strip(". "):  # such as "..", which cannot name a folder
        song = path.name
    return {
        "song": song,
        "ext_in": suffix[1:] or "none",
        "folder": os.path.basename(os.path.dirname(os.path.abspath(path))) or "root",
        "path": folder,
    }


def tell_apart(song, other, output):
    """Say how to give the stems of two songs different names.

    Args:
        song (dict[str, str]): `song_fields` of one song.
        other (dict[str, str]): `song_fields` of the other.
        output (str): the template that gives them the same names.

    Returns:
        str: the remedy, to end a message with.
    """
    for name in ("path", "ext_in", "folder"):
        if song[name] != other[name] and f"{{{name}}}" not in output:
            return f"add {{{name}}} to the output name, as in --output '{{{name}}}/{output}'"
    return "write it to another output folder (--output-dir)"
