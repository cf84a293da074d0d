"""The review page: one HTML file that needs nothing else."""
