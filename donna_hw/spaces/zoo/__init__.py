"""The shipped search spaces: the paper's, those of other papers, and small ones, each in a file."""
