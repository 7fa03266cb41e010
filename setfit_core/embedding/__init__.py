"""From texts to embeddings: batches, precision, and a cache on disk."""
