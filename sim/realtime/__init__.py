"""The simulated robot in real time: physics, camera and firmware in a process."""
