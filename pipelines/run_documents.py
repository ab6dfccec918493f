"""Start a run from a TOML file; further arguments are options of Beam, after those of the file.

A launcher that takes one file and a list of options needs no more than this.
"""

import argparse

from longbert.cli.main import main

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        usage="%(prog)s FILE [--name=value ...]", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("file", metavar="FILE", help="options of longbert run, as in configs/")
    given, beam_options = parser.parse_known_args()
    main(["run", "--config", given.file, "--", *beam_options])
