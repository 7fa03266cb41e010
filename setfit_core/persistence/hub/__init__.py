"""The hub: snapshots of a repository fetched, and models pushed."""
