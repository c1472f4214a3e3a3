"""Scores from counts, for any `image -> mask` function."""
