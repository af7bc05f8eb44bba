"""Sources of RNAs and papers (`source.py` says how to add one), and the corpus they fill."""
