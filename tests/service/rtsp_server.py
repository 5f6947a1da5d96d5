"""Serves a clip of H.264 by RTSP with GStreamer. Run by the system's Python, which has its bindings:
/usr/bin/python3 rtsp_server.py PORT CLIP [USER PASSWORD]. Prints its port when it listens."""

from __future__ import annotations

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402


def main(port: str, clip: str, user: str = "", password: str = "") -> None:
    Gst.init(None)
    for element in ("qtdemux", "h264parse", "rtph264pay"):
        if Gst.ElementFactory.find(element) is None:
            raise SystemExit(f"GStreamer has no {element}.")
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        f'( filesrc location="{clip}" ! qtdemux ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=1 )'
    )
    if user:
        auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
        server.set_auth(auth)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/main", factory)
    if not server.attach(None):
        raise SystemExit("The port is taken.")
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


main(*sys.argv[1:])
