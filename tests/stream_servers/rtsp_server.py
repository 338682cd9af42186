"""An RTSP camera for tests: `/usr/bin/python3 rtsp_server.py PORT WIDTH HEIGHT`.

Streams a moving H.264 test pattern at 15 frames a second at rtsp://127.0.0.1:PORT/test and prints
`ready PORT` once it listens. Needs Debian's gir1.2-gst-rtsp-server-1.0 and python3-gi.
"""

from __future__ import annotations

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

port, width, height = sys.argv[1:4]
Gst.init(None)
if Gst.ElementFactory.find("openh264enc") is None:
    sys.exit("missing the GStreamer element openh264enc (package gstreamer1.0-plugins-bad)")
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    "( videotestsrc is-live=true pattern=ball "
    f"! video/x-raw,width={width},height={height},framerate=15/1 "
    "! openh264enc gop-size=15 complexity=low ! rtph264pay name=pay0 pt=96 config-interval=1 )"
)
factory.set_shared(True)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(port)
server.get_mount_points().add_factory("/test", factory)
if server.attach(None) == 0:
    sys.exit(f"port {port} of 127.0.0.1 is taken")
print(f"ready {server.get_bound_port()}", flush=True)
GLib.MainLoop().run()
