"""Stand-ins that compute known values: file systems, encoders, clocks."""
