"""Scores of separated songs: museval per song, many songs in parallel, tables, evaluation."""
