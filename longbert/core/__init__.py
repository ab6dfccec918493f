"""The methods of longbert, in numpy only: windows, batches, assembly, decoding, units."""
