"""Sources of cameras: which are accepted, and how the credentials of a secret get into an address."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from gaitkeeper.service.errors import BadSource, PasswordInSource, SecretMissing
from gaitkeeper.service.live.sources import SCHEMES, require_listed
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.settings.cameras import SECRET_PREFIX

SECRET = re.compile(r"[A-Za-z0-9_-]{1,64}")
SECRET_BYTES = 1000
CONFIDING = re.compile(
    r"pass(wor[dt]|wd|phrase)?|pwd|pw|token|secret|(api_?)?key|auth|user(name)?|login", re.IGNORECASE
)
"""Parameters of an address that hold credentials."""


def checked_source(source: str) -> str:
    """A source in the form in which it is kept: the number of a webcam becomes its device.

    Raises:
        BadSource: it is neither an address, nor a file, nor a webcam.
        PasswordInSource: the address contains a user name, a password or a token.
    """
    if (re.search(r"[\x00-\x20\x7f]", source) and "://" in source) or not source.strip() or "\0" in source:
        raise BadSource("A camera's source is an address without blanks, a file, or the number of a webcam.")
    if re.fullmatch(r"\d{1,3}", source):
        return f"/dev/video{int(source)}"
    if "://" not in source:
        if not Path(source).is_absolute():
            raise BadSource("A camera's file is named with its whole path.")
        return source
    try:
        parts = urlsplit(source)
        _ = parts.port
    except ValueError:
        raise BadSource("The camera's address names no machine and port.") from None
    if parts.scheme == "onvif":
        raise BadSource("Give the RTSP address that the ONVIF camera reports for its stream.")
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise BadSource(f"A camera's address begins with {', '.join(f'{one}://' for one in sorted(SCHEMES))}.")
    if parts.fragment:
        raise BadSource("A camera's address has no part after '#'.")
    if "@" in parts.netloc or any(CONFIDING.fullmatch(name) for name, _ in parse_qsl(parts.query, True)):
        raise PasswordInSource(
            "The camera's address contains a user name, a password or a token: put `user:password` into a secret, and "
            "name that in `secret`."
        )
    return source


def check_secret(secret: str | None, source: str, settings: Settings) -> None:
    """Check that a camera's secret can be used.

    Raises:
        SecretMissing: it does not exist, or is not of the form ``user:password``.
        BadSource: the source is a file or a webcam, and has no use for it.
    """
    if secret is None:
        return
    if "://" not in source:
        raise BadSource("Files and webcams need no secret.")
    _credentials(secret, settings)


def opened_with(source: str, secret: str | None, settings: Settings) -> str:
    """The source with its credentials, to open it, never to show it.

    Raises:
        SecretMissing: as of :func:`check_secret`.
        SourceNotAllowed: the source is not on the list of the settings.
    """
    require_listed(source, settings.live_sources)
    if secret is None or "://" not in source:
        return source
    user, password = _credentials(secret, settings)
    parts = urlsplit(source)
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{parts.netloc}"))


def _credentials(secret: str, settings: Settings) -> tuple[str, str]:
    if not SECRET.fullmatch(secret):
        raise SecretMissing("A secret's name has 1 to 64 ASCII letters, digits, '_' and '-'.")
    text = _text(secret, settings)
    user, colon, password = (text or "").strip().partition(":")
    if text is None:
        raise SecretMissing(
            f"There is no secret {secret}: put `user:password` into a file of this name in GAITKEEPER_SECRETS, or into "
            f"the variable {SECRET_PREFIX}{_variable(secret)}."
        )
    if not colon or not user:
        raise SecretMissing(f"The secret {secret} is not of the form `user:password`.")
    return user, password


def _text(secret: str, settings: Settings) -> str | None:
    if settings.secrets is not None:
        try:
            with (settings.secrets / secret).open("rb") as file:
                return file.read(SECRET_BYTES).decode()
        except UnicodeDecodeError:
            raise SecretMissing(f"The secret {secret} is no UTF-8.") from None
        except OSError:
            pass
    return os.environ.get(f"{SECRET_PREFIX}{_variable(secret)}")


def _variable(secret: str) -> str:
    return secret.upper().replace("-", "_")
