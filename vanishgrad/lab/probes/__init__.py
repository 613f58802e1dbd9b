"""What no training run shows, measured directly."""
