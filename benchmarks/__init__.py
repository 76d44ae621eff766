"""What is measured: success in simulation, detection, time. Ratios against peers, never claims."""
