"""``python -m longbert``: the command, where its script is not on the path."""

from longbert.cli.main import main

if __name__ == "__main__":
    main()
