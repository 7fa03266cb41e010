"""How good predictions and probabilities are: scores, and how far probabilities are from frequencies."""
