"""What happened in runs, as one page that needs nothing else."""
