"""Logs with one JSON object per line. They contain routes and codes, but no URLs, which name people, and no bodies."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from gaitkeeper.service.http.reply_headers import REQUEST_ID

FIELDS = ("method", "route", "status", "seconds", "key")
"""Extra fields of a record."""


class JsonFormatter(logging.Formatter):
    """A record as a JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """The line without newline."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": REQUEST_ID.get(),
            **{name: getattr(record, name) for name in FIELDS if hasattr(record, name)},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps({name: value for name, value in line.items() if value is not None})


def configure(form: str) -> None:
    """Send the logs of the service and of its server to stderr.

    Args:
        form: "json" or "text".
    """
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if form == "json" else text)
    for name, level in (("gaitkeeper", logging.INFO), ("uvicorn", logging.WARNING)):
        log = logging.getLogger(name)
        log.handlers, log.propagate = [handler], False
        log.setLevel(level)
