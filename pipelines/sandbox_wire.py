"""What the two ends of the sandbox agree on."""

from __future__ import annotations

import struct

SLOTS = 4
"""Pictures that the shared memory holds."""

MESSAGE = 65536
"""Bytes of the longest message."""

PICTURE = struct.Struct("<BQdI")
"""Slot, index, time and segment of a picture that lies in the shared memory. Every other message is a JSON object."""

PACKET = struct.Struct("<BIdI?")
"""Slot, size, time and segment of a packet that lies in the shared memory, and whether its picture is shown."""

REQUEST = struct.Struct("<Iq")
"""Size and number of a live message that lies in the shared memory; size 0 is the stream's end."""

SHAPE = struct.Struct("<IIq")
"""Width, height and number of a live picture that lies in the shared memory, behind the message."""
