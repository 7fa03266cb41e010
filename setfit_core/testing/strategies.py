"""Strategies of hypothesis for authors of heads: few-shot problems, embeddings, labels."""
