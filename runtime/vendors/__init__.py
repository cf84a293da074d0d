"""What the runtime knows of single libraries: a file, and a row of `VENDORS`, for each."""
