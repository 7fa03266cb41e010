"""The version of setfit-core, in the one place that everything else reads, the build included."""

__version__ = "0.1.0"
