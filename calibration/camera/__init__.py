"""`vla-edge calibrate camera`: a lens measured from views of a checkerboard or a ChArUco board."""
