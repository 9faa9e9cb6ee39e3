"""What a run says of itself: progress, logs, curves and its record."""
