"""`--set KEY=VALUE` of the verbs that make one plug-in."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from bench.core.errors import BadInput


def add_settings(parser: argparse.ArgumentParser, what: str) -> None:
    """Register `--set`, kept as `settings`."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help=f"a parameter of the {what}; may be repeated",
    )


def parsed(settings: Sequence[str]) -> dict[str, Any]:
    """The table of `--set key=value`; a value is TOML, or else a string as it stands.

    Raises:
        BadInput: no key, or no equals sign.
    """
    from bench.plan.spec import toml_value

    table: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise BadInput(f"--set takes KEY=VALUE, not '{setting}'")
        table[key] = toml_value(value)
    return table
