"""Heads at work: built, wrapped for several labels a text, rehearsed and trained, asked, and their answers checked."""
