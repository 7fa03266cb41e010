"""Heads of scikit-learn on disk: skops files, looked through before they are built and checked after."""
