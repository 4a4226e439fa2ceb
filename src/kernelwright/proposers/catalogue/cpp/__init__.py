"""The catalogue in C++: the only part of it that knows the language."""
