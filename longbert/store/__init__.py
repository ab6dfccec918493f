"""The output folder: file systems, layout, tables, receipts and the manifest."""
