"""Training: the arguments, the trainer, and a module for each of its parts."""
