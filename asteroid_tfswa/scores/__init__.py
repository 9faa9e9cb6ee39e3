"""Scores of separated songs: one song, many songs in parallel, tables, score cards, evaluation."""
