"""Choosing among heads: each is tried on the same texts, by heads that were trained without them."""
