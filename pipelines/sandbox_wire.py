"""Message formats shared by both ends of the sandbox."""

from __future__ import annotations

import struct

SLOTS = 4
"""Number of pictures in the shared memory."""

MESSAGE = 65536
"""Size of the longest message, in bytes."""

PICTURE = struct.Struct("<BQdI")
"""Slot, index, time and segment of a picture that lies in the shared memory. Every other message is a JSON object."""

PACKET = struct.Struct("<BIdI?")
"""Slot, size, time and segment of a packet that lies in the shared memory, and whether its picture is shown."""

REQUEST = struct.Struct("<Iq")
"""Size and number of a live message that lies in the shared memory; size 0 is the stream's end."""

SHAPE = struct.Struct("<IIq")
"""Width, height and number of a live picture that lies in the shared memory, after the message."""
