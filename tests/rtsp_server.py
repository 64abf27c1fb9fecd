#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""An RTSP camera for the tests: H.264 over UDP or TCP, as the client asks. Prints its address and runs until killed.

    tests/rtsp_server.py [VIDEO]
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402


def main():
    Gst.init(None)
    if len(sys.argv) > 1:
        picture = f'filesrc location="{sys.argv[1]}" ! decodebin ! identity sync=true ! videoconvert'
    else:
        picture = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=25/1"
    factory = GstRtspServer.RTSPMediaFactory.new()
    factory.set_launch(
        f"( {picture} ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! rtph264pay name=pay0 pt=96 )"
    )
    factory.set_shared(True)
    server = GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service("0")
    server.get_mount_points().add_factory("/camera", factory)
    server.attach(None)
    print(f"rtsp://127.0.0.1:{server.get_bound_port()}/camera", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
