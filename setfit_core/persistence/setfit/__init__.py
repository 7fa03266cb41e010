"""Models of `setfit`: read without running anything from their pickle, and written for it."""
