"""Claims from papers, their checks, and questions about them."""
