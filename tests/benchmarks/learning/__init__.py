"""The race: separators trained for an equal budget on the same songs, scored on the same songs."""
