"""The parts of the Slicer module: here `qt`, `ctk` and `slicer` are imported, and names are Slicer's, in camelCase."""
