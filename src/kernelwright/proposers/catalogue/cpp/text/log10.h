INLINE inline F log10(F x) { return log(x) * 0.434294482f; }
