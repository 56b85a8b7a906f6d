"""Robust losses for noisy labels: the library behind the course's notebooks. See README.md."""
