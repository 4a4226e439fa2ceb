"""Is it right, is it honest, how fast is it."""
