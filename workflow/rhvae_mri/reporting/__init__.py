"""What leads a reader through a study: the methods in words, and the page with everything."""
