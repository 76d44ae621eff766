"""What a person at the robot stops and drives it with: it lives in the motor process, beside the guard."""
