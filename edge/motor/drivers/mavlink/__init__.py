"""The driver of rovers that speak MAVLink, over a serial port or UDP: docs/mavlink.md."""
