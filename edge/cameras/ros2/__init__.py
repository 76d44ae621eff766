"""The camera `ros2:///camera/image_raw`: a child listens to the topic and writes frames into a ring."""
