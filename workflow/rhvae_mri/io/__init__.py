"""Files, tables, tensors and downloads: how the library reads and writes."""
