"""What the two training loops (RHVAE and CNN) share: devices, checkpoints, requests to stop."""
