"""The command line: parse, one library call, print. Data on stdout, all else on stderr."""
