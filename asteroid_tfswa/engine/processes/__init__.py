"""The processes of a run: how they start, share the model, stop and end together."""
