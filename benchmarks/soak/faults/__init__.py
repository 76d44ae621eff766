"""What the soak does to runs, and what it tries that must be refused."""
