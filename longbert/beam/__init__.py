"""The thin layer on Apache Beam: file systems, the graph, runners. No algorithm lives here."""
