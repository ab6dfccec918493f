"""Start ``longbert run`` with the parameters of a Flex Template.

Those that are options of the command go before ``--``, ``-`` written ``_`` and a list with commas;
all others are options of Beam. The template's launcher names ``--template_location``, so the job is
written and not waited for.
"""

import sys

from longbert.cli.main import main
from longbert.cli.run import run


def arguments_of(parameters: list[str]) -> list[str]:
    """The command's arguments for parameters, ``--name=value``."""
    options = {name: option for option in run.params for name in option.opts}
    own, beam = [], []
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        name = f"--{name.removeprefix('--').replace('_', '-')}"
        option = options.get(name)
        if option is None:
            beam.append(parameter)
        elif option.is_flag:
            # Any other value is for the command to refuse.
            own += {"true": [name], "false": []}.get(value, [f"{name}={value}"])
        else:
            own += [f"{name}={one}" for one in (value.split(",") if option.multiple else [value])]
    return ["run", *own, "--", *beam]


if __name__ == "__main__":
    main(arguments_of(sys.argv[1:]))
