"""Licences that bind the operator of the service, and whether they were accepted."""

from __future__ import annotations

import os

from gaitkeeper.models.cache import cache_folder
from gaitkeeper.models.errors import LicenceNotAccepted

VARIABLE = "GAITKEEPER_ACCEPT_LICENSES"
FREE = frozenset({"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT"})
FILE = "accepted-licences"


def accepted(licence: str) -> bool:
    """True if a licence (SPDX identifier) is permissive, or was accepted by environment variable or by a yes."""
    named = os.environ.get(VARIABLE, "").replace(",", " ").split()
    if licence in FREE or licence in named:
        return True
    file = cache_folder() / FILE
    return file.is_file() and licence in file.read_text().split("\n")


def accept(licence: str) -> None:
    """Remember on this machine that a licence was accepted."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FILE).open("a") as file:
        file.write(f"{licence}\n")


def require(licence: str, what: str) -> None:
    """Raise unless a licence was accepted.

    Args:
        licence: SPDX identifier.
        what: name of the licensed item, for the message.

    Raises:
        LicenceNotAccepted: the licence was not accepted.
    """
    if not accepted(licence):
        raise LicenceNotAccepted(
            f"{what} is under {licence}, whose conditions apply to the whole service: read them, and set "
            f"{VARIABLE}={licence} to accept it, or answer yes in `gaitkeeper weights pull`."
        )
