#!/usr/bin/env python3
"""An RTSP camera (GStreamer): H.264 test picture and an A-law tone.
Arguments: address, port."""
import sys, gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer(address=sys.argv[1], service=sys.argv[2])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    "( videotestsrc is-live=1 pattern=ball ! video/x-raw,width=320,height=240,framerate=10/1"
    " ! x264enc tune=zerolatency bitrate=150 key-int-max=20 ! h264parse ! rtph264pay name=pay0 pt=96"
    " audiotestsrc is-live=1 volume=0.3 ! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay1 pt=8 )")
server.get_mount_points().add_factory("/cam", factory)
server.attach(None)
GLib.MainLoop().run()
