"""Start a run from a TOML file; further arguments are options of Beam, after those of the file.

A launcher that takes one file and a list of options needs no more than this.
"""

import sys
from pathlib import Path

from longbert.cli.main import main
from longbert.config_text import read_toml

if __name__ == "__main__":
    file, *further = sys.argv[1:]
    settings = read_toml(Path(file).read_text(encoding="utf-8"), name=file)
    main(["run", "--config", file, "--", *settings.get("beam_options", ()), *further])
