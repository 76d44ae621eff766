"""Cameras whose images come from a child process, most of them through GStreamer."""
