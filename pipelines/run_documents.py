"""Start a run from a TOML file; further arguments are options of Beam.

A launcher that takes one file and a list of options needs no more than this.
"""

import sys

from longbert.cli.main import main

if __name__ == "__main__":
    config, *beam_options = sys.argv[1:]
    main(["run", "--config", config, "--", *beam_options])
