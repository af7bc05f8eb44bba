"""The commands `rnagpt` and `rna-qa`: arguments in, one call, text out.

One grammar for both:

- options are in kebab-case (`--max-new-tokens`); an old spelling gives an error that names the new
  one;
- a command that writes one folder takes it as OUT, the last positional argument; OUT is optional
  only where there is a default (`rnagpt mini`: the user's cache). What a command works on comes
  before it (`rnagpt convert-rnafm CHECKPOINT OUT`);
- `--seed N` is the random seed, a whole number from 0;
- `licence` is spelled like that in options, messages and columns;
- results go to standard output, everything else to standard error; `--quiet` silences progress and
  remarks, `--json` prints results for programs;
- exit codes: 0 done, 2 rejected or failed with an explanation on standard error, 130 stopped by
  Ctrl-C. 1 is Python's own, with a traceback: a fault of the program.
"""
