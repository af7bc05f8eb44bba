"""The commands `rnagpt` and `rna-qa`: arguments in, one call, text out."""
