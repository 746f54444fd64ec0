"""Commands that consist of actions, each with an example of its own."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def actions_of(made: argparse.ArgumentParser, command: str) -> Callable[[str, str, str], argparse.ArgumentParser]:
    """A function from name, description and example to the parser of an action of ``netloom COMMAND``."""
    actions = made.add_subparsers(
        dest="action", metavar="ACTION", required=True, help=argparse.SUPPRESS, prog=f"netloom {command}"
    )

    def action(name: str, description: str, example: str) -> argparse.ArgumentParser:
        return actions.add_parser(
            name, description=description, epilog=f"example:\n  netloom {command} {name} {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip

    return action
