"""The body of a model: a SentenceTransformer, loaded from a folder that was looked through first."""
