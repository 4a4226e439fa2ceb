INLINE inline F log2(F x) { return log(x) * 1.44269504f; }
