"""The live page's picture by WebRTC, where aiortc is installed."""
