"""The audit of the preprocessing: what happened to every image, in a page that opens offline."""
