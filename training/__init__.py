"""Both training stages: rows, columns, collators, trainer, encoder cache, negatives."""
