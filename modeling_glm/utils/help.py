"""The `--help` of scripts."""

import argparse
from collections.abc import Collection


class HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keep the lines of the description, and show the defaults that are values."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


def short_formatter(shown: Collection[str]) -> type[argparse.HelpFormatter]:
    """
    Make a formatter that leaves out arguments, such as those of Trainer that keep their defaults.

    Args:
        shown: The names of the arguments to show.
    """

    class ShortHelp(argparse.RawDescriptionHelpFormatter):
        def add_argument(self, action: argparse.Action):
            if action.dest in shown:
                super().add_argument(action)

    return ShortHelp


__all__ = ["HelpFormatter", "short_formatter"]
