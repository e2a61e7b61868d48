"""The convolutional networks of the study and their training, on arrays."""
