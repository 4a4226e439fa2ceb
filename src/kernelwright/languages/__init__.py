"""How candidates are written: build, static inspection, kernel census, guide for authors."""
