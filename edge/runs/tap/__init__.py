"""The tap: a drive's events to a process of its own, where recorder, ring and pages take them."""
