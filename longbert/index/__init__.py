"""The similarity index: built from committed tables, searched exactly. FAISS is used only here."""
