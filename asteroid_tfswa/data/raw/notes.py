"""Tell the user what preparing changed in a set."""

DIFFERS = 1e-3  # of the mixture's energy: lossless files of one mix differ by far less


def changes_made(checked, entries, n_channels, tolerance):
    """Say in sentences what was done to songs beyond linking and decoding.

    Args:
        checked (list[CheckedSong]): all songs.
        entries (dict[str, list[dict]]): for each split the entries of its songs, see `read_entry`.
        n_channels (int): channels of the prepared songs.
        tolerance (float): seconds by which files were allowed to differ in length.

    Returns:
        list[str]: a sentence for each kind of change, with the number of songs.
    """
    evened = [song for song in checked if song.is_evened]
    mono = [song for song in checked if song.has_mono or song.n_channels < n_channels]
    silent = [song for song in checked if song.missing]
    entries = [(split, entry) for split, songs in entries.items() for entry in songs]
    shortened = [entry for _, entry in entries if entry["left_out"]]
    equal = [(split, entry) for split, entry in entries if entry["equal"]]
    notes = []
    if evened:
        notes.append(
            f"{_songs(evened)}: files that differed by up to {tolerance} s in length were cut or "
            "padded."
        )
    if mono:
        notes.append(f"{_songs(mono)}: mono files were copied to {n_channels} channels.")
    if silent:
        names = sorted({stem for song in silent for stem in song.missing})
        notes.append(f"{_songs(silent)}: missing stems are silent ({', '.join(names)}).")
    if shortened:
        names = sorted({name for entry in shortened for name in entry["left_out"]})
        notes.append(
            f"{_songs(shortened)}: files that are sums or copies of others, not stems, were left "
            f"out ({', '.join(names)})."
        )
    if equal:
        split, entry = equal[0]
        notes.append(
            f"{_songs(equal)}: some stems are equal ({', '.join(entry['equal'])} of "
            f"{split}/{entry['name']}); check whether these are the right files."
        )
    differing = [pair for pair in entries if pair[1].get("difference", 0) > DIFFERS]
    if differing:
        split, entry = max(differing, key=lambda pair: pair[1]["difference"])
        notes.append(
            f"{_songs(differing)}: the mixture is not exactly the sum of the stems (the difference "
            f"has {100 * entry['difference']:.1f} % of its energy in {split}/{entry['name']}); "
            "models learn from sums and are scored on mixtures, --mixture sum makes them alike."
        )
    return notes


def _songs(songs):
    return f"{len(songs)} song{'s' if len(songs) > 1 else ''}"
