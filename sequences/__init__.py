"""What can be done with a sequence and no model: FASTA, shuffling, clustering, drawing."""
