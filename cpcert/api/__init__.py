"""What `import cpcert` offers: a function for each command, on arrays, data frames, problems and instances."""
