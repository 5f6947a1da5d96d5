"""Sessions of the page's users: who signed in with which key, and until when."""

from __future__ import annotations

import hashlib
import secrets
import time
from datetime import UTC, datetime

from gaitkeeper.service.auth.keys import Key, Keys
from gaitkeeper.service.errors import Unauthorised
from gaitkeeper.service.state import State


class Sessions:
    """The sessions of one service.

    A session is named by 256 random bits, of which only the SHA-256 digest is stored. It has the rights of its key, and
    ends with the key.

    Args:
        state: storage of the sessions.
        keys: the keys.
        seconds: time after which a session ends, whether it is used or not.
    """

    def __init__(self, state: State, keys: Keys, seconds: float) -> None:
        self._state, self._keys, self.seconds = state, keys, seconds

    def open(self, key: Key) -> tuple[str, datetime]:
        """Begin a session of a key. Returns its text and its end."""
        text, expires = secrets.token_urlsafe(32), time.time() + self.seconds
        with self._state.transaction() as db:
            db.execute("DELETE FROM sessions WHERE expires < ?", (time.time(),))
            db.execute("INSERT INTO sessions VALUES (?, ?, ?)", (_digest(text), key.id, expires))
        return text, datetime.fromtimestamp(expires, UTC)

    def check(self, text: str) -> Key:
        """The key of a session.

        Raises:
            Unauthorised: there is no such session, it has ended, or its key is revoked.
        """
        rows = self._state.rows(
            "SELECT key FROM sessions WHERE digest = ? AND expires >= ?", _digest(text), time.time()
        )
        key = self._keys.get(rows[0]["key"]) if rows else None
        if key is None or key.revoked is not None:
            raise Unauthorised("The session has ended: sign in again.")
        return key

    def close(self, text: str) -> None:
        """End a session. Ending it again has no effect."""
        with self._state.transaction() as db:
            db.execute("DELETE FROM sessions WHERE digest = ?", (_digest(text),))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
