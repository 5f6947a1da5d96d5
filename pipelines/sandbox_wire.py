"""What the two ends of the sandbox agree on."""

from __future__ import annotations

import struct

SLOTS = 4
"""Pictures that the shared memory holds."""

MESSAGE = 65536
"""Bytes of the longest message."""

PICTURE = struct.Struct("<BQd")
"""Slot, index and time of a picture that lies in the shared memory. Every other message is a JSON object."""

PACKET = struct.Struct("<BId")
"""Slot, size and time of a packet that lies in the shared memory."""

REQUEST = struct.Struct("<Iq")
"""Size and number of a live message that lies in the shared memory; size 0 is the stream's end."""

SHAPE = struct.Struct("<IIq")
"""Width, height and number of a live picture that lies in the shared memory, behind the message."""
