"""Find the songs that files, folders and patterns stand for."""

import fnmatch
import glob
import os
import re
from pathlib import Path

from asteroid_tfswa.audio.folders import SYSTEM_FOLDERS

# Files taken from folders; a file that is given itself is tried whatever its name.
AUDIO_NAME = re.compile(
    r".+\.(wav|flac|ogg|oga|opus|mp3|m4a|mp4|m4v|aac|ac3|aiff?|aifc|alac|ape|au|avi|caf|flv|mka|mkv"
    r"|mov|mp2|mpc|mpe?g|rf64|tta|w64|webm|wma|wmv|wv)",
    re.IGNORECASE | re.DOTALL,
)


def find_songs(inputs, output_dir=None):
    """Find the files that inputs stand for.

    Args:
        inputs (list of str or Path): files, folders and patterns. Folders are searched with all
            their subfolders, each once, for names of audio and video files; hidden ones are
            skipped. In patterns (``*.mp3``) ``**`` stands for any number of folders, as in
            ``**/*.mp3``; patterns without suffix mean audio and video files.
        output_dir (str or Path, optional): a folder that is not searched.

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
            found = _match(given, top, output_dir, problems)
            problem = "no such file or folder, and no match for it as a pattern; check the name"
        if not found:
            problems.append((given, problem))
        for path in found:
            if (place := os.path.realpath(path)) not in known:
                known.add(place)
                folder = os.path.dirname(path)
                songs[Path(path)] = os.path.relpath(folder or ".", top or ".")
    return songs, problems


def _search(top, output_dir, problems):
    """Find the audio files in a folder."""
    skipped = {os.path.realpath(output_dir)} if output_dir else set()
    return [
        os.path.join(root, name)
        for root, names in _walk(top, skipped, problems)
        for name in names
        if AUDIO_NAME.fullmatch(name)
    ]


def _walk(top, skipped, problems):
    """Yield a folder and its subfolders, each once, with their files; links are followed."""
    seen = {os.path.realpath(top)} | skipped

    def refuse(err):
        problems.append(
            (err.filename, f"cannot be searched ({err.strerror}); check its permissions")
        )

    for root, folders, names in os.walk(top, followlinks=True, onerror=refuse):
        wanted = sorted(
            name for name in folders if name[0] != "." and name.lower() not in SYSTEM_FOLDERS
        )
        folders.clear()
        for name in wanted:
            if (place := os.path.realpath(os.path.join(root, name))) not in seen:
                seen.add(place)
                folders.append(name)
        yield root, sorted(name for name in names if name[0] != ".")


def _match(pattern, top, output_dir, problems):
    """Find the files that match a pattern; one without suffix ("**") means audio files only."""
    is_wanted = bool if os.path.splitext(pattern)[1] else AUDIO_NAME.fullmatch
    found = [
        path
        for path in sorted(_expand(pattern, problems))
        if os.path.isfile(path)
        and is_wanted(os.path.basename(path))
        and SYSTEM_FOLDERS.isdisjoint(os.path.relpath(path, top or ".").lower().split(os.sep))
    ]
    if output_dir and not _is_in(top or ".", output_dir):
        found = [path for path in found if not _is_in(path, output_dir)]
    return found


def _expand(pattern, problems):
    """Find the paths that match a pattern.

    `glob` alone would follow "**" through links to folders again and again, up to 2^40 times.
    """
    stars = re.search(r"(?:^|(?<=/))\*\*(?=/|$)", pattern)
    if stars is None:
        return glob.glob(pattern)
    head, tail = pattern[: stars.start()], pattern[stars.end() :]
    wanted = ["**", *filter(None, tail.split("/"))]
    found = []
    for top in glob.glob(head) if head else [""]:
        for root, names in _walk(top or ".", set(), problems):
            inside = [os.path.relpath(os.path.join(root, name), top or ".") for name in names]
            found += [os.path.join(top, path) for path in inside if _fits(path.split("/"), wanted)]
    return found


def _fits(names, pattern):
    """Whether the names of a path match those of a pattern, in which "**" is any number of them."""
    if not pattern:
        return not names
    if pattern[0] == "**":
        return any(_fits(names[i:], pattern[1:]) for i in range(len(names) + 1))
    if not names or not fnmatch.fnmatchcase(names[0], pattern[0]):
        return False
    return _fits(names[1:], pattern[1:])


def _is_in(path, folder):
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _fixed_part(pattern):
    """Find the folders of a pattern before its first wildcard."""
    folder = os.path.dirname(pattern)
    while glob.has_magic(folder):
        folder = os.path.dirname(folder)
    return folder
