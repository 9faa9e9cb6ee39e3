"""Finding the songs that files, folders and patterns mean."""

import glob
import os
import re
from pathlib import Path

# What is taken from folders; files that are named are tried whatever their name.
AUDIO_NAME = re.compile(
    r".+\.(wav|flac|ogg|oga|opus|mp3|m4a|mp4|m4v|aac|ac3|aiff?|aifc|alac|ape|au|avi|caf|flv|mka|mkv"
    r"|mov|mp2|mpc|mpe?g|rf64|tta|w64|webm|wma|wmv|wv)",
    re.IGNORECASE | re.DOTALL,
)
# Folders of file servers, archives and disks; hidden ones are left out, too.
NO_SONGS = {"@eaDir", "__MACOSX", "#recycle", "$RECYCLE.BIN", "lost+found"}


def find_songs(inputs, output_dir=None):
    """Find the files that inputs mean.

    Args:
        inputs (list of str or Path): files, folders (searched with all their folders, once each,
            for names of audio and video files; hidden ones are left out) and patterns (``*.mp3``,
            ``**`` for audio and video files in all folders).
        output_dir (str or Path, optional): a folder in those that is not searched.

    Returns:
        tuple[dict[Path, str], list[tuple[str, str]]]: the files, each once, with their folder
        relative to the folder that was given, or to the part of a pattern before its first
        wildcard (``"."`` for a file that was given); and the inputs without any, each with the
        reason.
    """
    songs, problems, known = {}, [], set()
    for given in map(os.fspath, inputs):
        if os.path.isdir(given):
            top, found = given, _search(given, output_dir, problems)
            problem = "no audio files in this folder; name another"
        elif os.path.lexists(given):
            top, found = os.path.dirname(given), [given]
        else:
            top = _fixed_part(given)
            found = _match(given, top, output_dir)
            problem = "no such file or folder, and no pattern that fits any; check the name"
        if not found:
            problems.append((given, problem))
        for path in found:
            if (place := os.path.realpath(path)) not in known:
                known.add(place)
                folder = os.path.dirname(path)
                songs[Path(path)] = os.path.relpath(folder or ".", top or ".")
    return songs, problems


def _search(top, output_dir, problems):
    """Find the audio files in a folder, following links to folders that have not been searched."""
    seen = {os.path.realpath(top)} | ({os.path.realpath(output_dir)} if output_dir else set())
    found = []

    def refuse(err):
        problems.append(
            (err.filename, f"cannot be searched ({err.strerror}); check its permissions")
        )

    for root, folders, names in os.walk(top, followlinks=True, onerror=refuse):
        wanted = sorted(name for name in folders if name[0] != "." and name not in NO_SONGS)
        folders.clear()
        for name in wanted:
            if (place := os.path.realpath(os.path.join(root, name))) not in seen:
                seen.add(place)
                folders.append(name)
        found += [
            os.path.join(root, name)
            for name in sorted(names)
            if name[0] != "." and AUDIO_NAME.fullmatch(name)
        ]
    return found


def _match(pattern, top, output_dir):
    """Find the files that fit a pattern; one without suffix ("**") means audio files only."""
    is_wanted = bool if os.path.splitext(pattern)[1] else AUDIO_NAME.fullmatch
    found = [
        path
        for path in sorted(glob.glob(pattern, recursive=True))
        if os.path.isfile(path)
        and is_wanted(os.path.basename(path))
        and NO_SONGS.isdisjoint(os.path.relpath(path, top or ".").split(os.sep))
    ]
    if output_dir and not _is_in(top or ".", output_dir):
        found = [path for path in found if not _is_in(path, output_dir)]
    return found


def _is_in(path, folder):
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _fixed_part(pattern):
    """The folders of a pattern before its first wildcard."""
    folder = os.path.dirname(pattern)
    while glob.has_magic(folder):
        folder = os.path.dirname(folder)
    return folder
