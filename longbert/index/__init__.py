"""The similarity index: built from committed tables, searched exactly. Only here is FAISS used."""
