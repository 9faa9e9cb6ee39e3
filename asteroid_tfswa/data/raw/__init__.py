"""The songs a user brings, as they are: found, checked, and told apart from sums of their stems."""
