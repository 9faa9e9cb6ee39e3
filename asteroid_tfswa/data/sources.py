"""What the keys `sources` and `target` of a configuration mean.

`sources` lists stems, or maps each source to the files that are summed for it. The word "rest"
instead of files stands for all stems of a song that no other source has.
"""

from asteroid_tfswa.arguments import refusal
from asteroid_tfswa.errors import InputError

REST = "rest"


def parts_of(sources):
    """List the files of every source.

    Args:
        sources (list[str] or dict[str, list[str]]): the sources, or their files by source.

    Returns:
        dict[str, list[str]]: the files by source; a source that is only listed is its own file.

    Raises:
        InputError: `sources` is empty, names something twice, names the mixture, or uses "rest"
            more than once or beside files.
    """
    if isinstance(sources, str) or not sources or len(set(sources)) < len(sources):
        raise InputError(f"sources: {sources!r} found; give a list of different stem names")
    parts = {source: [source] for source in sources}
    if isinstance(sources, dict):
        parts = {source: list(files) for source, files in sources.items()}
    files = [file for files in parts.values() for file in files]
    if "mixture" in (*parts, *files):
        raise InputError("sources: 'mixture' found; it is the model's input, name stems only")
    for source, names in parts.items():
        if not names:
            raise InputError(f"sources: {source!r} has no files; name at least one")
        if isinstance(sources, dict) and REST in names and names != [REST]:
            raise InputError(
                f"sources: {source!r} is {REST!r} and files; {REST!r} means all that no other "
                "source has, leave the files out"
            )
    twice = sorted({file for file in files if files.count(file) > 1})
    if twice:
        raise InputError(f"sources: {twice[0]!r} is in two sources; a file can be in one only")
    return parts


def named_files(sources):
    """List the files that the sources name.

    Args:
        sources (list[str] or dict[str, list[str]]): see `parts_of`.

    Returns:
        list[str]: their names. "rest" in place of files is none, "rest" in a list is one.
    """
    return [
        file
        for files in parts_of(sources).values()
        for file in files
        if file != REST or not isinstance(sources, dict)
    ]


def sums_of(sources):
    """List the files of those sources that are more than the file of their own name.

    Args:
        sources (list[str] or dict[str, list[str]]): see `parts_of`.

    Returns:
        dict[str, list[str]]: the files by source, sorted.
    """
    if not isinstance(sources, dict):
        return {}
    return {
        source: sorted(files)
        for source, files in parts_of(sources).items()
        if files != [source] or files == [REST]
    }


def trained_sources(data):
    """List the sources that the model separates.

    Args:
        data (dict): the section "data" of a configuration: `sources`, and `target` if it is to be
            one of them only.

    Returns:
        list[str]: their names, in the order of the model's outputs.

    Raises:
        InputError: `target` is not one of the sources.
    """
    sources, target = list(data["sources"]), data.get("target")
    if not target:
        return sources
    if target not in sources:
        raise refusal("target", f"one of the sources ({', '.join(sources)}), or empty", target)
    return [target]
