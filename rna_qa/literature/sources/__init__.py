"""Where RNAs and papers come from, and the corpus that they are put into."""
