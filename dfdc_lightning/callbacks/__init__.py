"""What happens around an epoch."""
